"""The MLflow store behind the registry: opened quietly, without touching MLflow's global state."""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from bellwether.errors import ConfigError, RegistryError

EXPERIMENT = "bellwether"
"""The MLflow experiment whose runs are the versions."""

SQLITE = "sqlite:///"

WEB_USER = re.compile(r"^[^/?#]*@")
DATABASE_USER = re.compile(r"^[^:/@]*(:[^@]*)?@")
"""Who logs in, and the password, at the head of a URI; that of a database may hold a bare ``/``, ``?`` or ``#``."""

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Set before MLflow is imported, which is when it reads them, unless the user has set them already."""

NOISY = ("alembic", "mlflow.store.db.utils", "mlflow.store.model_registry.abstract_store")
"""Loggers that tell of each step of the creation of a database or a version."""


class Backend:
    """An MLflow tracking store and registry, opened when first used.

    Parameters
    ----------
    tracking_uri : str
        As MLflow takes it. For ``sqlite:///X/mlflow.db`` artefacts go to ``X/artifacts``; a tracking server decides
        for itself.
    """

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri

    @cached_property
    def client(self) -> Any:
        """An ``MlflowClient``. The first opening of a new SQLite database takes seconds, one process at a time."""
        with asking("open the MLflow store"):
            from mlflow import MlflowClient

            if (database := self.database) is None:
                return MlflowClient(tracking_uri=self.tracking_uri, registry_uri=self.tracking_uri)
            uri = f"{SQLITE}{database}"
            database.parent.mkdir(parents=True, exist_ok=True)
            with _alone(database), quietly():
                return MlflowClient(tracking_uri=uri, registry_uri=uri)

    @cached_property
    def experiment(self) -> str:
        """Id of `EXPERIMENT`, made if it is not there yet."""
        from mlflow.exceptions import MlflowException

        place = None if self.database is None else (self.database.parent / "artifacts").as_uri()
        found = self.client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            try:
                return str(self.client.create_experiment(EXPERIMENT, artifact_location=place))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was first
                    raise
                found = self.client.get_experiment_by_name(EXPERIMENT)
        if found.lifecycle_stage != "active":
            raise RegistryError(
                f"the MLflow experiment {EXPERIMENT!r} is deleted: restore it with `mlflow experiments`"
            )
        return str(found.experiment_id)

    @property
    def database(self) -> Path | None:
        """Absolute path of the SQLite file; None for any other store."""
        if not self.tracking_uri.startswith("sqlite:"):
            return None
        path = self.tracking_uri.removeprefix(SQLITE).partition("?")[0]
        if path.startswith(("sqlite:", ":")) or not path:
            raise ConfigError(f"{self.tracking_uri!r} is no file: set BELLWETHER_TRACKING_URI to {SQLITE}PATH or a URL")
        return Path(path).absolute()

    @property
    def identity(self) -> str:
        """What tells this store from others, fit for a record: no user, password, query or relative path.

        >>> Backend("postgresql://ada:s3cret@db.internal:5432/mlflow?sslmode=require").identity
        'postgresql://db.internal:5432/mlflow'
        >>> Backend("https://token@mlflow.example/").identity
        'https://mlflow.example'
        """
        if (database := self.database) is not None:
            return f"{SQLITE}{database.resolve()}"
        scheme, mark, rest = self.tracking_uri.partition("://")
        if not mark:  # a directory, or the name of a profile
            return self.tracking_uri if scheme.startswith("databricks") else str(Path(scheme).resolve())
        user = WEB_USER if scheme in ("http", "https") else DATABASE_USER
        place = re.split("[?#]", user.sub("", rest, count=1))[0]
        return f"{scheme}{mark}{place.rstrip('/')}"


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn errors of MLflow, and of its database, into one line that says ``what`` could not be done."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())  # the driver's own words, without SQL
        raise RegistryError(f"cannot {what}: {reason}") from error


@contextmanager
def quietly() -> Iterator[None]:
    """Let `NOISY` loggers say warnings only."""
    loggers = [logging.getLogger(name) for name in NOISY]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextmanager
def _alone(database: Path) -> Iterator[None]:
    """Two processes that create the schema at once make half of it each; the second waits and finds it made."""
    with database.with_name(f"{database.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
