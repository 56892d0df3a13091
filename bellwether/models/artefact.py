"""A trained model as data: an ONNX graph and the JSON contract it is served under."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import onnx
from pydantic import AwareDatetime, BeforeValidator, Field, FiniteFloat, ValidationError

from bellwether.config.recipe import Frozen
from bellwether.errors import ModelError

SCHEMA = 1
"""The contract version this code writes and reads."""

GRAPH, CONTRACT = "model.onnx", "contract.json"
"""File names of an artefact."""


def _plain(value: Any) -> Any:
    """What JSON will give back: tuples as lists, names as text. NaN and infinity have no place in JSON."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{error}: use numbers that are finite, text, lists and mappings") from error


Plain = Annotated[dict[str, Any], BeforeValidator(_plain)]


class Contract(Frozen):
    """Everything a server must know about a graph, and a person about how it came to be.

    Serving checks ``features`` and ``definition``; the class order is that of the probabilities. Written as JSON
    and read back, a contract equals itself: mappings hold only what JSON can say.

    Parameters
    ----------
    definition : str
        Hash of the feature set; a server with another one refuses the model.
    warmup : int
        Bars of history before the first feature row.
    edges : tuple of float
        Outcome values between the classes, fitted on the training rows.
    buy, sell : float
        Thresholds of the index signal.
    train_start, train_end : datetime
        ``ts_event`` of the first and last training row.
    metrics, baselines : dict
        Figures of this model, and those of each baseline by name.
    verdict : dict
        What the promotion gate decided (``passed``) and the figures it decided on.
    versions : dict
        Libraries the model was made with.
    graph_sha256 : str
        The graph this contract is about.
    """

    schema_version: int = SCHEMA
    recipe: str
    universe: str
    symbols: tuple[str, ...]
    interval: str
    family: str
    params: Plain
    seed: int
    feature_set: str
    features: tuple[str, ...] = Field(min_length=1)
    definition: str
    warmup: int
    target: str
    horizon: int
    overnight: str
    classes: tuple[str, ...]
    edges: tuple[FiniteFloat, ...]
    buy: FiniteFloat
    sell: FiniteFloat
    train_start: AwareDatetime
    train_end: AwareDatetime
    train_rows: int
    metrics: Plain
    baselines: Plain
    verdict: Plain
    versions: dict[str, str]
    graph_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    created_at: AwareDatetime

    @classmethod
    def parse(cls, text: str | bytes) -> Contract:
        """Read a contract's JSON.

        Raises
        ------
        ModelError
            It is not JSON, of another schema version, or a field is missing, unknown or wrong.
        """
        try:
            found = json.loads(text)
            version = found["schema_version"]
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{CONTRACT} is not a contract ({error!r}): restore or retrain the model") from error
        if version != SCHEMA:
            raise ModelError(
                f"{CONTRACT} has schema version {version!r} and this Bellwether reads {SCHEMA}: "
                "use the Bellwether that wrote it, or retrain the model"
            )
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ModelError(f"{CONTRACT} is damaged: {problems}: restore or retrain the model") from error


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """A graph and its contract.

    Parameters
    ----------
    graph : bytes
        Serialised ONNX: float32 ``features`` (n, features) in, float32 ``probabilities`` (n, classes) out.
    contract : Contract
    """

    graph: bytes
    contract: Contract

    def check(self) -> None:
        """Raise `ModelError` unless the graph is valid ONNX and the one the contract names."""
        found = hashlib.sha256(self.graph).hexdigest()
        if found != self.contract.graph_sha256:
            raise ModelError(
                f"the graph's sha256 is {found[:12]}… and its contract says {self.contract.graph_sha256[:12]}…: "
                f"{GRAPH} and {CONTRACT} do not belong together; fetch the version again"
            )
        try:
            onnx.checker.check_model(self.graph)
        except (onnx.checker.ValidationError, ValueError) as error:
            raise ModelError(f"{GRAPH} is not a valid ONNX model: {error}") from error

    def save(self, directory: Path) -> None:
        """Write the two files as a new directory, which appears complete or not at all.

        Raises
        ------
        ModelError
            The directory already holds something (saved artefacts are not overwritten), or cannot be written.
        """
        self.check()
        staged = directory.parent / f".{directory.name}.{secrets.token_hex(4)}"
        contract = self.contract.model_dump_json(indent=2) + "\n"
        try:
            staged.mkdir(parents=True)
            for name, content in ((GRAPH, self.graph), (CONTRACT, contract.encode())):
                _write(staged / name, content)
            _sync(staged)
            staged.rename(directory)
            _sync(directory.parent)
        except OSError as error:
            shutil.rmtree(staged, ignore_errors=True)
            raise ModelError(f"cannot save to {directory}: {error.strerror}; choose a new directory") from error

    @classmethod
    def load(cls, directory: Path) -> Artefact:
        """Read and check the two files; nothing is executed or unpickled.

        Raises
        ------
        ModelError
            A file is missing or damaged, or they do not belong together.
        """
        try:
            graph, contract = ((directory / name).read_bytes() for name in (GRAPH, CONTRACT))
        except OSError as error:
            raise ModelError(f"{directory} holds no artefact ({GRAPH}, {CONTRACT}): {error.strerror}") from error
        artefact = cls(graph=graph, contract=Contract.parse(contract))
        artefact.check()
        return artefact


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    """Make the entries of ``directory`` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
