"""What the MLflow run of a version holds."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx

from bellwether.errors import RegistryError
from bellwether.models.artefact import Artefact, Contract

MODEL = "model"
"""The folder of a run's artefacts that is the model version."""


def tags_of(contract: Contract) -> dict[str, str]:
    """What lists show of a version without fetching its contract."""
    shown = {
        "family": contract.family,
        "universe": contract.universe,
        "feature_set": contract.feature_set,
        "definition": contract.definition,
        "sha256": contract.sha256,
        "passed": str(contract.verdict.get("passed") is True).lower(),
    }
    champion, metric = contract.verdict.get("champion"), contract.verdict.get("metric", "macro_f1")
    return shown if champion is None else shown | {"metric": str(metric), "score": repr(float(champion))}


def check_files(names: Iterable[str]) -> None:
    """Raise `RegistryError` for an extra file that is not one beside the model's folder."""
    for name in names:
        if Path(name).name != name or name == MODEL:
            raise RegistryError(f"{name!r} is no plain file name: extra files lie side by side, beside {MODEL}/")


def fill(client: Any, run_id: str, artefact: Artefact, files: Mapping[str, str], metrics: Mapping[str, float]) -> None:
    """Upload the artefact and its files, and log parameters and metrics."""
    from mlflow.entities import Metric, Param

    with TemporaryDirectory() as place:
        artefact.save(Path(place, MODEL))
        _describe(Path(place, MODEL), run_id, artefact)
        for file, text in files.items():
            Path(place, file).write_text(text, encoding="utf-8")
        client.log_artifacts(run_id, place)
    contract, now = artefact.contract, int(time.time() * 1000)
    params = {"family": contract.family, "seed": contract.seed, "horizon": contract.horizon} | contract.params
    client.log_batch(
        run_id,
        metrics=[Metric(key, float(value), now, 0) for key, value in metrics.items()],
        params=[Param(key, str(value)) for key, value in params.items()],
    )


def _describe(directory: Path, run_id: str, artefact: Artefact) -> None:
    """Say in MLflow's own words what the folder is: an ONNX model, or a bundle that only Bellwether reads."""
    from mlflow.models import Model

    model = Model(artifact_path=MODEL, run_id=run_id)
    if artefact.contract.format == "onnx":
        model.add_flavor("onnx", onnx_version=onnx.__version__, data=artefact.file)
    else:
        model.add_flavor("bellwether", family=artefact.contract.family, data=artefact.file)
    model.save(str(directory / "MLmodel"))
