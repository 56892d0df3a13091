"""Versions of a recipe's model, kept in MLflow.

A version is one MLflow run of the experiment ``bellwether``. Its artefacts are ``model/`` (``model.onnx``,
``contract.json``, and an ``MLmodel`` that makes it an MLflow ONNX model for other tools) and the text files given at
registration. Loading reads the first two and nothing else: no pickle, no pyfunc.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bellwether.errors import ModelError, NoChampion, RegistryError, UnknownName
from bellwether.models.artefact import CONTRACT, FILES, Artefact, Contract
from bellwether.registry.backend import Backend, asking, quietly
from bellwether.registry.run import MODEL, check_files, fill, tags_of

ALIASES = ("Staging", "Production")
"""What a version may carry; serving follows one of them."""

NAMES = re.compile(r"[\w.\- ]+")


@dataclass(frozen=True, kw_only=True)
class VersionInfo:
    """A version at a glance. ``score`` is the gate's figure on the untouched segment, in units of ``metric``; NaN if it
    has none. ``sweep`` is the sweep it was registered by, empty if it was not said."""

    version: int
    aliases: tuple[str, ...]
    family: str
    created_at: datetime
    metric: str
    score: float
    passed: bool
    sweep: str = ""


class Versions:
    """The versions in one MLflow store, opened when first used.

    Parameters
    ----------
    tracking_uri : str
        See `bellwether.registry.backend.Backend`.
    """

    def __init__(self, tracking_uri: str) -> None:
        self._backend = Backend(tracking_uri)

    def register(
        self,
        name: str,
        artefact: Artefact,
        *,
        files: Mapping[str, str] | None = None,
        metrics: Mapping[str, float],
        sweep: str = "",
    ) -> int:
        """Keep an artefact as the next version of ``name``; it carries no alias yet.

        Parameters
        ----------
        files : mapping of str to str, optional
            Text files to keep beside it, by file name.
        metrics : mapping of str to float
            Figures shown by MLflow for the version's run.
        sweep : str, optional
            The sweep it comes from. It is on the version from its first moment: see `made_by`.

        Returns
        -------
        int
            The version, visible only when everything is stored.

        Raises
        ------
        ModelError
            The graph is not the contract's.
        RegistryError
            MLflow refuses; a run that was begun is marked as failed.
        """
        artefact.check()
        check_files(files or {})
        if not NAMES.fullmatch(name):
            raise RegistryError(f"a model cannot be called {name!r}: use letters, digits, spaces and . _ -")
        client = self._backend.client
        with asking(f"register {name}"), quietly():
            self._make(name)
            tags = tags_of(artefact.contract)
            run = client.create_run(self._backend.experiment, run_name=f"{name} {artefact.contract.family}", tags=tags)
            try:
                fill(client, run.info.run_id, artefact, files or {}, metrics)
                client.set_terminated(run.info.run_id)
                source = f"{run.info.artifact_uri}/{MODEL}"
                of = {"sweep": sweep} if sweep else {}
                made = client.create_model_version(name, source, run.info.run_id, tags=tags | of)
            except BaseException:
                client.set_terminated(run.info.run_id, "FAILED")
                raise
        return int(made.version)

    def resolve(self, name: str, which: str | int) -> int:
        """The version that ``which`` stands for: an alias, or a version that must exist. Cheap enough to poll.

        Raises
        ------
        NoChampion
            Nothing carries the alias.
        RegistryError
            There is no such version.
        UnknownName
            The alias is none of `ALIASES`.
        """
        if isinstance(which, int):
            if which not in (known := [v.version for v in self.versions(name)]):
                have = f"it has {', '.join(map(str, sorted(known)))}" if known else "it has none yet"
                raise RegistryError(f"{name} has no version {which}: {have}")
            return which
        if (held := self._holder(name, which)) is None:
            raise NoChampion(
                f"no version of {name} carries {which}: train with `bellwether train {name}`, "
                f"then `bellwether promote {name}`"
            )
        return held

    def load(self, name: str, which: str | int) -> tuple[int, Artefact]:
        """The version that ``which`` stands for, and its checked artefact.

        Raises
        ------
        NoChampion, RegistryError, UnknownName
            As `resolve`; or the stored files are missing or damaged.
        """
        version = self.resolve(name, which)
        try:
            contract = Contract.parse(self._fetch(name, version, f"{MODEL}/{CONTRACT}"))
            content = self._fetch(name, version, f"{MODEL}/{FILES[contract.format]}")
            artefact = Artefact(content=content, contract=contract)
            artefact.check()
        except ModelError as error:
            raise RegistryError(f"{name} version {version} cannot be used: {error}") from error
        return version, artefact

    def contract(self, name: str, version: int) -> Contract:
        """The contract of a version, without its model."""
        return Contract.parse(self.read(name, version, f"{MODEL}/{CONTRACT}"))

    def read(self, name: str, version: int, file: str) -> str:
        """A text file that was registered with a version, e.g. ``leaderboard.json``."""
        self.resolve(name, version)
        return self._fetch(name, version, file).decode()

    def versions(self, name: str) -> list[VersionInfo]:
        """All versions of ``name``, newest first; empty if there are none."""
        holders: dict[int, list[str]] = {}
        for alias, version in self._holders(name).items():
            holders.setdefault(version, []).append(alias)
        with asking(f"list the versions of {name}"):
            found, page = [], None
            while page is None or page.token:
                page = self._backend.client.search_model_versions(
                    f"name='{name}'", page_token=page.token if page else None
                )
                found += [_info(v, holders.get(int(v.version), [])) for v in page]
        return sorted(found, key=lambda v: -v.version)

    def made_by(self, name: str, sweep: str) -> VersionInfo | None:
        """The version of ``name`` that a sweep registered, the newest if there are several; None if there is none."""
        return next((found for found in self.versions(name) if found.sweep == sweep), None)

    def _holder(self, name: str, alias: str) -> int | None:
        if alias not in ALIASES:
            raise UnknownName("alias", alias, ALIASES)
        return self._holders(name).get(alias)

    def _holders(self, name: str) -> dict[str, int]:
        """Which version each alias points to."""
        client = self._backend.client
        from mlflow.exceptions import MlflowException

        with asking(f"read the aliases of {name}"):
            try:
                aliases: Mapping[str, Any] = client.get_registered_model(name).aliases
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return {}
                raise
        return {alias: int(version) for alias, version in aliases.items()}

    def _make(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._backend.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _fetch(self, name: str, version: int, file: str) -> bytes:
        client = self._backend.client
        with asking(f"read {file} of {name} version {version}"), TemporaryDirectory() as place:
            run = client.get_model_version(name, str(version)).run_id
            return Path(client.download_artifacts(run, file, place)).read_bytes()


def _info(found: Any, aliases: list[str]) -> VersionInfo:
    return VersionInfo(
        version=int(found.version),
        aliases=tuple(sorted(aliases)),
        family=found.tags.get("family", "unknown"),  # a version made with other tools has no tags of ours
        created_at=datetime.fromtimestamp(found.creation_timestamp / 1000, tz=UTC),
        metric=found.tags.get("metric", ""),
        score=float(found.tags.get("score", math.nan)),
        passed=found.tags.get("passed") == "true",
        sweep=found.tags.get("sweep", ""),
    )
