"""Intervals of served values: those of the contract, the same in every app, made once for each version."""

from __future__ import annotations

from math import inf, isfinite
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwether.calibration.conformal import Conformal, calibrated
from bellwether.errors import ModelError
from benchmarks.factors_in_process import RATES, App, body
from benchmarks.factors_installation import NAMES, artefact
from serve_apps.book.prices import Pricer
from serve_apps.factor.predicting import regressions
from serve_apps.models.intervals import Intervals
from serve_apps.models.routes import Route, to_config
from serve_apps.tick.models import Voice

FINITE = st.floats(-1e3, 1e3)
ROW = np.array([[0.25, 0.5, 0.125]])
SCORES = np.abs(np.random.default_rng(0).normal(0.0, 0.1, 100))
STATE = calibrated(SCORES, kind="tracking").state()


def state(radius: float) -> dict[str, Any]:
    """One step's, of any radius: one beyond all scores follows from the level."""
    if isfinite(radius):
        return STATE | {"radius": radius}
    return calibrated(SCORES, kind="adaptive").state() | {"level": -1.0 if radius > 0 else 2.0}


def version(values: Any, steps: Any, bands: Any = None) -> Any:
    """A loaded version that says these values (steps,), with these quantiles (steps, levels) where it has any."""
    said = np.array([values], np.float64)
    contract = SimpleNamespace(
        classes=(),
        conformal={"steps": steps} if steps else {},
        family="fixed",
        level=False,
        lookback=1,
        ranged=bands is not None,
        steps=len(values),
        verdict={"passed": True},
    )
    return SimpleNamespace(contract=contract, predict=lambda x: said, quantiles=lambda x: np.array([bands]))


# --- what an interval is -----------------------------------------------------------------------------------------


@given(values=st.lists(st.tuples(FINITE, st.floats(0.0, 10.0)), min_size=1, max_size=4))
def test_around_a_value_it_is_the_conformal_one(values):
    said, radii = [value for value, _ in values], [radius for _, radius in values]
    found = Intervals(version(said, [state(radius) for radius in radii])).of(ROW, [said])[0]
    for value, radius, ends in zip(said, radii, found, strict=True):
        low, high = Conformal.restore(state(radius)).interval(np.array([value]), np.array([value]))
        assert ends == (low[0], high[0])


@given(value=FINITE, low=FINITE, width=st.floats(0.0, 10.0), radius=st.floats(-10.0, 10.0))
def test_around_quantiles_it_is_the_conformal_one_with_the_value_in_it(value, low, width, radius):
    high = low + width
    intervals = Intervals(version([value], [state(radius)], [[low, 0.5 * (low + high), high]]))
    below, above = Conformal.restore(state(radius)).interval(np.array([low]), np.array([high]))
    assert intervals.of(ROW, [[value]]) == [[(min(below[0], value), max(above[0], value))]]


def test_only_an_infinite_one_is_none_and_an_empty_one_is_the_middle_of_the_band():
    assert Intervals(version([1.0], [state(inf)])).of(ROW, [[1.0]]) == [[None]]
    assert Intervals(version([1.0], [state(-inf)])).of(ROW, [[1.0]]) == [[(1.0, 1.0)]]
    assert Intervals(version([1.0], [state(-inf)], [[0.0, 4.0]])).of(ROW, [[1.0]]) == [[(1.0, 2.0)]]


@pytest.mark.parametrize("bands", [None, [[0.0, 2.0]]])
def test_there_is_none_where_none_was_calibrated_whatever_the_model_gives(bands):
    intervals = Intervals(version([1.0], [], bands))
    assert (intervals.of(ROW, [[1.0]]), intervals.coverage) == ([[None]], None)


def test_it_says_what_it_promises():
    wide = calibrated(SCORES, alpha=0.3).state()
    assert Intervals(version([1.0], [wide])).coverage == 0.7


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([STATE, STATE], "of 2 steps and the model of 1"),
        ([{"kind": "tracking"}], "damaged"),
        ([STATE | {"kind": "?"}], "damaged"),
    ],
)
def test_a_state_that_is_damaged_or_of_other_steps_is_refused(steps, why):
    with pytest.raises(ModelError, match=why):
        Intervals(version([1.0], steps))


# --- in the apps -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bands", [None, [[-0.0625, 0.0, 0.25]], [[0.25, 0.375, 0.5]]])
@pytest.mark.parametrize("radius", [0.125, -0.5, inf, -inf])
def test_every_app_gives_the_same_one(bands, radius):
    one = version([0.125], [state(radius)], bands)
    champion = SimpleNamespace(contract=one.contract, predictor=one, json=dict)
    tick = Voice(one).answer(ROW, 100.0)[1]
    (price,) = Pricer(one).steps(ROW[0], 100.0)
    (rate,) = regressions(champion, Intervals(one), [(0.75, 0.25, 0.25)], np.array([[0.125]]), "day")
    assert (tick["prediction"], price.price, rate["prediction"]) == (0.125, 0.125, 0.375)
    if radius == inf:
        assert [tick["interval"], price.lower, price.upper, rate["interval"]] == [None] * 4
    else:
        low, high = tick["interval"]["low"], tick["interval"]["high"]
        assert (price.lower, price.upper) == (low, high)
        assert (rate["interval"]["low"], rate["interval"]["high"]) == (0.25 + low, 0.25 + high)
        assert low <= 0.125 <= high


def test_a_version_with_damaged_ones_is_refused_when_it_is_loaded(tmp_path):
    app = App(tmp_path)
    app.artefacts[NAMES["regression"], 1] = artefact("regression", conformal={"steps": [{"kind": "tracking"}]})
    with pytest.raises(ModelError, match="the state of the intervals is damaged"):
        app.get("/health")


def test_they_are_made_once_for_each_version_and_not_for_each_request(tmp_path, monkeypatch):
    app, made = App(tmp_path), []
    name = NAMES["regression"]
    app.artefacts[name, 2] = artefact("regression", seed=2)
    monkeypatch.setattr("serve_apps.factor.ingress.Intervals", lambda predictor: made.append(1) or Intervals(predictor))

    async def conversation(client):
        for _ in range(3):
            await client.post("/predict/regression", json=body(*RATES))
        await app.ingress.reconfigure(to_config(app.routes | {name: Route(version=2)}))
        return [(await client.post("/predict/regression", json=body(*RATES))).json()["model"] for _ in range(3)]

    assert [model["version"] for model in app.use(conversation)] == [2, 2, 2]
    assert len(made) == 2
