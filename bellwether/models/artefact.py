"""A trained model as data: an ONNX graph or a bundle, and the JSON contract it is served under."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import onnx
from pydantic import AwareDatetime, BeforeValidator, Field, FiniteFloat, ValidationError

from bellwether.config.frozen import Frozen
from bellwether.errors import ModelError
from bellwether.models.bundle import Bundle

SCHEMA = 2
"""The contract version this code writes and reads."""

CONTRACT = "contract.json"
FILES = {"onnx": "model.onnx", "bundle": "model.npz"}
"""File names of an artefact: the contract, and the model by its format."""


def _plain(value: Any) -> Any:
    """What JSON will give back: tuples as lists, names as text. NaN and infinity have no place in JSON."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{error}: use numbers that are finite, text, lists and mappings") from error


Plain = Annotated[dict[str, Any], BeforeValidator(_plain)]


class Contract(Frozen):
    """Everything a server must know about a model, and a person about how it came to be.

    Serving checks ``features`` and ``definition``; the class order is that of the probabilities. Written as JSON
    and read back, a contract equals itself: mappings hold only what JSON can say.

    Parameters
    ----------
    format : str
        ``onnx``, a graph; or ``bundle``, arrays and facts that the family restores.
    reads, lookback : str, int
        What the columns are (`bellwether.models.base.Reads`), and of how many rows at once.
    features : tuple of str
        The columns of one row: of the feature set, where it reads features.
    ranged : bool
        The model gives quantiles of its values, too.
    steps : int
        Values a row has, ``horizon`` apart; 1 for classes.
    level : bool
        The values are changes: what is predicted is the last known value plus them.
    calibration, conformal : dict
        How probabilities were calibrated, and the state of the intervals; empty if neither was asked for.
    outlook : dict
        What the returns it foretells rest on (`bellwether.expected_return.Outlook`); empty of a model without.
    drift : dict
        State of a detector that knows its training rows (`bellwether.drift`); empty of a model without.
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
    sha256 : str
        Of the model file this contract is about.
    """

    schema_version: int = SCHEMA
    recipe: str
    universe: str
    symbols: tuple[str, ...]
    interval: str
    family: str
    params: Plain
    seed: int
    format: Literal["onnx", "bundle"] = "onnx"
    reads: str = "features"
    lookback: int = Field(default=1, ge=1)
    feature_set: str
    features: tuple[str, ...] = Field(min_length=1)
    definition: str
    warmup: int
    target: str
    horizon: int
    overnight: str
    classes: tuple[str, ...] = ()
    steps: int = Field(default=1, ge=1)
    level: bool = False
    ranged: bool = False
    calibration: Plain = Field(default_factory=dict)
    conformal: Plain = Field(default_factory=dict)
    outlook: Plain = Field(default_factory=dict)
    drift: Plain = Field(default_factory=dict)
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
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
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
        except (ValueError, KeyError, TypeError, RecursionError) as error:
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
    """A model and its contract.

    Parameters
    ----------
    content : bytes
        Serialised ONNX: float32 ``features`` (n, lookback x features) in, float32 ``probabilities`` (n, classes) or
        ``values`` (n, steps) out; or a serialised `bellwether.models.bundle.Bundle`.
    contract : Contract
    """

    content: bytes
    contract: Contract

    @property
    def file(self) -> str:
        """Name of the model's file."""
        return FILES[self.contract.format]

    def check(self) -> None:
        """Raise `ModelError` unless the model is valid in its format and the one the contract names."""
        found = hashlib.sha256(self.content).hexdigest()
        if found != self.contract.sha256:
            raise ModelError(
                f"the model's sha256 is {found[:12]}… and its contract says {self.contract.sha256[:12]}…: "
                f"{self.file} and {CONTRACT} do not belong together; fetch the version again"
            )
        if self.contract.format == "bundle":
            Bundle.parse(self.content)
            return
        try:
            onnx.checker.check_model(self.content)
        except (onnx.checker.ValidationError, ValueError) as error:
            raise ModelError(f"{self.file} is not a valid ONNX model: {error}") from error

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
            for name, content in ((self.file, self.content), (CONTRACT, contract.encode())):
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
            contract = Contract.parse((directory / CONTRACT).read_bytes())
            content = (directory / FILES[contract.format]).read_bytes()
        except OSError as error:
            where = Path(str(error.filename)).name
            raise ModelError(f"{directory} holds no artefact: {where} cannot be read: {error.strerror}") from error
        artefact = cls(content=content, contract=contract)
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
