"""Ensembles: soft vote and stacking, and the graphs they are made of."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from sklearn.linear_model import LinearRegression, LogisticRegression

from bellwether.errors import ModelError, TaskRefused, UnknownName
from bellwether.models import FAMILIES, family
from bellwether.models.base import Bundled, Family, Floats, Ranged, Task
from bellwether.models.bundle import Bundle
from bellwether.models.compose import part
from bellwether.models.graph import assemble_values
from bellwether.models.members import LINEAR, OTHERS, fitted_members
from bellwether.models.stacking import blend_weights, out_of_fold, pool_weights
from bellwether.models.training import Training, plain

CLASSIFY, REGRESS = Task.CLASSIFY, Task.REGRESS
both_tasks = pytest.mark.parametrize("task", [CLASSIFY, REGRESS], ids=lambda task: task.value)


@dataclass
class Memory:
    """Knows every row it was fitted on by heart, and answers any other with that of the nearest."""

    rows: Training

    def predict(self, x: Floats) -> Floats:
        nearest = [int(np.argmin(((self.rows.x - row) ** 2).sum(axis=1))) for row in x]
        y = self.rows.y[nearest]
        return np.eye(self.rows.classes)[y] if self.rows.classes else y

    def graph(self) -> bytes:
        if self.rows.classes:
            return family("majority").train(self.rows, {}).graph()
        return assemble_values([helper.make_node("Identity", ["features"], ["r"])], [], "r", self.rows.x.shape[1], 1)


@dataclass
class NoGraph:
    def predict(self, x: Floats) -> Floats:
        return np.zeros((len(x), 1))

    def graph(self) -> bytes:
        raise ModelError("no graph")

    def bundle(self) -> Bundle:
        return Bundle({})


SHOWN: list[Training] = []


def spied(training: Training, params: object) -> Memory:
    SHOWN.append(training)
    return Memory(rows=training)


BOTH = frozenset(Task)
MEMORY = Family(name="memory", tasks=BOTH, space=lambda trial, task: {}, fit=spied)
NO_GRAPH = Family(name="no_graph", tasks=BOTH, space=lambda trial, task: {}, fit=lambda training, params: NoGraph())


@pytest.fixture
def memory(monkeypatch):
    SHOWN.clear()
    for name in ("memory", "no_graph"):
        monkeypatch.setitem(FAMILIES, name, (__name__, name.upper()))


def market(task: Task, rows: int = 400, signal: float = 0.3, seed: int = 0) -> Training:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3))
    outcome = np.sqrt(signal) * x[:, 0] + np.sqrt(1 - signal) * rng.normal(size=rows)
    if task is REGRESS:
        return plain(x, 0.01 * outcome[:, None])
    return plain(x, np.digitize(outcome, [-0.43, 0.43]), classes=3)


def served(graph: bytes, x: Floats) -> Floats:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (output,) = session.get_outputs()
    return session.run([output.name], {"features": x.astype(np.float32)})[0]


def test_a_vote_is_the_weighted_mean_of_the_probabilities():
    rows = market(CLASSIFY)
    vote = family("soft_vote").train(rows, {"logistic": 1, "stratified": 3, "lightgbm": 0})
    logistic, stratified = fitted_members(rows, ("logistic", "stratified"))
    np.testing.assert_allclose(vote.predict(rows.x), (logistic.predict(rows.x) + 3 * stratified.predict(rows.x)) / 4)


def test_a_vote_of_values_is_their_weighted_mean_and_leaves_quantiles_out():
    rows = market(REGRESS)
    vote = family("soft_vote").train(rows, {"ridge": 2, "bayes_net": 1})
    ridge, net = fitted_members(rows, ("ridge", "bayes_net"))
    expected = (2 * ridge.predict(rows.x) + net.predict(rows.x)) / 3
    assert isinstance(net, Ranged)
    np.testing.assert_allclose(vote.predict(rows.x), expected, rtol=1e-9)
    np.testing.assert_allclose(served(vote.graph(), rows.x), expected, atol=1e-7)


def test_a_member_without_weight_is_not_fitted(memory):
    family("soft_vote").train(market(CLASSIFY), {"logistic": 1, "memory": 0})
    family("stacking").train(market(CLASSIFY), {"logistic": True, "memory": False, "penalty": 0.01})
    assert not SHOWN


def test_ensembles_of_ensembles_are_still_one_graph():
    rows = market(CLASSIFY)
    model = family("soft_vote").train(rows, {"soft_vote": 1, "stacking": 2, "majority": 1})
    np.testing.assert_allclose(served(model.graph(), rows.x), model.predict(rows.x), atol=1e-6)


def test_parts_of_a_graph_share_its_input_and_nothing_else():
    graph = family("majority").train(market(CLASSIFY), {}).graph()
    parts = [part(graph, prefix) for prefix in ("a/", "b/")]
    made = [{name for node in p.nodes for name in node.output} | {c.name for c in p.constants} for p in parts]
    assert not made[0] & made[1]
    assert {name for p in parts for node in p.nodes for name in node.input} - made[0] - made[1] == {"features"}


@pytest.mark.parametrize("name", ["soft_vote", "stacking"])
def test_a_member_that_does_not_fit_in_is_refused(name, memory):
    rows, penalty = market(CLASSIFY), {"penalty": 0.01} if name == "stacking" else {}
    for member, error, why in [
        ("ridge", TaskRefused, "ridge cannot classify"),
        ("lstm", TaskRefused, "lstm does not read the features of one row"),
        ("no_graph", ModelError, "no_graph is no graph"),
        ("catboost", UnknownName, "no model family 'catboost'"),
    ]:
        with pytest.raises(error, match=why):
            family(name).train(rows, {member: 1} | penalty)
    with pytest.raises(ModelError, match="an ensemble needs a member"):
        family(name).train(rows, {"logistic": 0} | penalty)
    assert isinstance(NoGraph(), Bundled)


@both_tasks
@pytest.mark.parametrize("name", ["soft_vote", "stacking"])
def test_a_search_always_keeps_the_linear_member_and_names_others_that_can(name, task):
    chosen = family(name).standard(task)
    assert chosen[LINEAR[task]]
    assert all(task in family(member).tasks for member in (LINEAR[task], *OTHERS))
    assert set(chosen) - {"penalty"} == {LINEAR[task], *OTHERS}


@both_tasks
def test_a_member_that_memorises_gets_no_weight(task, memory):
    rows = market(task, rows=600)
    names = ("memory", LINEAR[task])
    model = family("stacking").train(rows, dict.fromkeys(names, True) | {"penalty": 1e-4})
    of_memory = sum(w for w, member in zip(model.weights, model.members, strict=True) if isinstance(member, Memory))
    assert of_memory < 0.1 * model.weights.sum()
    inside = np.stack([member.predict(rows.x) for member in fitted_members(rows, names)])
    if task is CLASSIFY:  # what its weight would be, had it been asked about rows that it knows
        fooled = pool_weights(inside, rows.y, rows.weight, 1e-4)
    else:
        fooled = blend_weights(inside[:, :, 0], rows.y[:, 0], rows.weight, 1e-4)[0]
    assert fooled[0] > 0.7 * fooled.sum()


@settings(max_examples=25)
@given(row=st.integers(0, 59), task=st.sampled_from([CLASSIFY, REGRESS]), label=st.integers(0, 2))
def test_no_outcome_reaches_what_is_predicted_for_its_own_row_or_an_earlier_one(row, task, label):
    rows = replace(market(task, rows=60), t1=np.arange(60) + 4)
    changed = replace(rows, y=rows.y.copy())
    changed.y[row] = label
    names = ("stratified",) if task is CLASSIFY else ("ridge",)
    place, before = out_of_fold(rows, names)
    _, after = out_of_fold(changed, names)
    known = rows.ts[place] <= rows.t1[row]
    np.testing.assert_array_equal(before[:, known], after[:, known])


def test_members_are_shown_only_rows_whose_outcomes_are_known_before_the_block(memory):
    ts = np.repeat(np.arange(100), 3)
    rows = replace(market(CLASSIFY, rows=300), ts=ts, t1=ts + 7)
    place, found = out_of_fold(rows, ("memory",))
    assert [int(shown.t1.max()) for shown in SHOWN] == [24, 49, 74]  # blocks begin at 25, 50 and 75
    assert [len(shown.ts) for shown in SHOWN] == [3 * 18, 3 * 43, 3 * 68]
    np.testing.assert_array_equal(place, np.arange(75, 300))
    assert found.shape == (1, 225, 3)


def test_the_members_that_serve_were_fitted_on_all_rows(memory):
    rows = market(REGRESS, rows=60)
    family("stacking").train(replace(rows, y=rows.x[:, :1]), {"memory": True, "penalty": 0.01})
    assert [len(shown.ts) for shown in SHOWN] == [14, 29, 44, 60]


def test_too_short_a_history_is_refused():
    rows = market(REGRESS, rows=40)
    with pytest.raises(ModelError, match="40 timestamps are too few to stack on 3 blocks"):
        family("stacking").train(replace(rows, t1=rows.ts + 30), {"ridge": True, "penalty": 0.01})


def test_weights_of_a_pool_of_two_classes_are_those_of_a_logistic_regression():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 500)
    odds = np.stack([(2 * y - 1) * s + rng.normal(size=500) for s in (0.8, 0.3)])
    weight = rng.uniform(0.5, 1.5, 500)
    probabilities = np.stack([1 / (1 + np.exp(odds)), 1 / (1 + np.exp(-odds))], axis=-1)
    oracle = LogisticRegression(C=1e9, fit_intercept=False, tol=1e-10).fit(odds.T, y, sample_weight=weight)
    np.testing.assert_allclose(pool_weights(probabilities, y, weight, 0.0), oracle.coef_[0], rtol=1e-3)


def test_weights_of_a_blend_are_those_of_a_regression_with_positive_coefficients():
    rng = np.random.default_rng(0)
    values, weight = rng.normal(5.0, 1.0, size=(4, 300)), rng.uniform(0.5, 1.5, 300)
    y = 3 + values.T @ [0.5, -0.4, 0.2, 0.0] + rng.normal(size=300)
    oracle = LinearRegression(positive=True).fit(values.T, y, sample_weight=weight)
    weights, intercept = blend_weights(values, y, weight, 0.0)
    np.testing.assert_allclose(weights, oracle.coef_, atol=1e-9)
    assert intercept == pytest.approx(oracle.intercept_)
    assert weights[1] == 0.0


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), penalty=st.sampled_from([1e-4, 1.0, 1e6]), members=st.integers(1, 4))
def test_weights_are_never_negative_and_a_strong_penalty_makes_them_equal(seed, penalty, members):
    rng = np.random.default_rng(seed)
    y, weight = rng.integers(0, 3, 40), rng.uniform(0.1, 2.0, 40)
    pooled = pool_weights(rng.dirichlet(np.ones(3), size=(members, 40)), y, weight, penalty)
    blended, _ = blend_weights(rng.normal(size=(members, 40)), rng.normal(size=40), weight, penalty)
    for weights in (pooled, blended):
        assert (weights >= 0).all()
        if penalty == 1e6:
            np.testing.assert_allclose(weights, 1 / members, atol=1e-4)


def test_where_no_member_knows_anything_the_blend_says_the_mean():
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(1, 200))
    weights, intercept = blend_weights(noise, -noise[0] + 7, np.ones(200), 1e-9)
    assert weights == pytest.approx([0.0], abs=1e-6)
    assert intercept == pytest.approx(7 - noise.mean(), abs=1e-6)


@both_tasks
def test_stacking_serves_what_it_predicts_even_when_no_member_has_a_weight(task):
    rows = market(task, signal=0.0)
    rows = rows if task is CLASSIFY else replace(rows, y=np.where(rows.ts[:, None] % 2 == 0, 0.01, -0.01))
    model = family("stacking").train(rows, {LINEAR[task]: True, "penalty": 1e-4})
    np.testing.assert_allclose(served(model.graph(), rows.x), model.predict(rows.x), atol=1e-6)


def test_two_good_members_together_are_better_than_either():
    train, test = market(REGRESS, rows=3000, signal=0.0, seed=1), market(REGRESS, rows=3000, signal=0.0, seed=2)
    bent = [replace(r, y=r.y + 0.01 * (3 * r.x[:, :1] + (np.abs(r.x[:, 1:2]) > 1))) for r in (train, test)]
    error = {}
    for names in (("ridge",), ("extra_trees",), ("ridge", "extra_trees")):
        model = family("stacking").train(bent[0], dict.fromkeys(names, True) | {"penalty": 1e-3})
        error[names] = float(np.mean((model.predict(bent[1].x) - bent[1].y) ** 2))
    assert min(error, key=lambda names: error[names]) == ("ridge", "extra_trees")
