"""The kernel machine and the perceptron: scikit-learn's own answers, weights, early stopping, far-away rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import KernelCenterer, StandardScaler
from sklearn.svm import SVC, LinearSVC

from bellwether.errors import ModelError
from bellwether.models import family, mlp
from bellwether.models.base import Task
from bellwether.models.constant import Constant
from bellwether.models.kernel_graph import Kernel
from bellwether.models.linear_graph import Scaler
from bellwether.models.svc import LANDMARKS, MAX_ROWS, spread_out
from bellwether.models.training import plain

both = pytest.mark.parametrize("name", ["svc", "mlp"])


def crossed(rows=2000, columns=4, noise=0.3, seed=0):
    """Columns, and an outcome that only the product of the first two says."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns)).astype(np.float32).astype(np.float64)
    return x, np.sign(x[:, 0] * x[:, 1]) + noise * rng.normal(size=rows)


def trained(name, x, y, weight=None, classes=0, **params):
    rows = plain(x, y, classes=classes)
    rows = rows if weight is None else replace(rows, weight=weight)
    standard = family(name).standard(Task.CLASSIFY if classes else Task.REGRESS)
    return family(name).train(rows, standard | params)


def served(model, x):
    session = onnxruntime.InferenceSession(model.graph(), providers=["CPUExecutionProvider"])
    return session.run(None, {"features": np.asarray(x, np.float32)})[0]


@both
def test_what_no_line_parts_is_found(name):
    (x, y), (far, told) = crossed(seed=0), crossed(seed=1)
    model = trained(name, x, (y > 0).astype(int), classes=2, gamma=1.0)
    assert f1_score(told > 0, model.predict(far).argmax(axis=1)) > 0.85
    values = trained(name, x, 1e-4 * y, gamma=1.0).predict(far)[:, 0]
    assert np.corrcoef(values, told)[0, 1] > 0.7
    straight = trained("logistic", x, (y > 0).astype(int), classes=2).predict(far)
    assert f1_score(told > 0, straight.argmax(axis=1)) < 0.6


@both
def test_rows_that_weigh_next_to_nothing_teach_nothing(name):
    x, y = crossed()
    labels = (y > 0).astype(int)
    false = np.arange(len(x)) % 2 == 0
    model = trained(name, x, np.where(false, 1 - labels, labels), np.where(false, 1e-3, 1.999), classes=2, gamma=1.0)
    assert f1_score(labels, model.predict(x).argmax(axis=1)) > 0.85
    values = trained(name, x, np.where(false, -y, y), np.where(false, 1e-3, 1.999), gamma=1.0).predict(x)[:, 0]
    assert np.corrcoef(values, y)[0, 1] > 0.7


@both
def test_balance_makes_a_rare_class_heard(name):
    x, y = crossed(noise=1.0)
    labels = (y > 1.5).astype(int)
    fair, plainly = (trained(name, x, labels, classes=2, balanced=b).predict(x)[:, 1].mean() for b in (True, False))
    assert fair > 1.5 * plainly


@both
def test_units_of_values_do_not_matter(name):
    x, y = crossed(600)
    one, two = trained(name, x, y).predict(x), trained(name, x, y / 2.0**20).predict(x)
    np.testing.assert_allclose(two * 2.0**20, one, rtol=0, atol=1e-6)


@both
def test_what_is_served_of_prices_is_the_model(name):
    x, y = crossed(1000)
    priced = (1e5 + 10 * x).astype(np.float32)
    for model in (trained(name, priced, (y > 0).astype(int), classes=3), trained(name, priced, y)):
        np.testing.assert_allclose(served(model, priced), model.predict(priced), rtol=0, atol=1e-6)


def test_the_kernel_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    x, landmarks = rng.normal(5, 3, size=(50, 4)), rng.normal(size=(7, 4))
    scaler = Scaler.of(x, np.ones(50))
    found = Kernel(scaler=scaler, landmarks=landmarks, gamma=0.3)(x)
    np.testing.assert_allclose(found, rbf_kernel(scaler(x), landmarks, gamma=0.3), rtol=1e-12, atol=1e-14)


def test_with_every_row_a_landmark_values_are_those_of_kernel_ridge():
    x, y = crossed(LANDMARKS - 6)
    z, gamma, alpha = StandardScaler().fit_transform(x), 0.5, 1e-3
    similar = rbf_kernel(z, gamma=gamma / 4)
    centred = KernelCenterer().fit_transform(similar)
    exact = KernelRidge(alpha=alpha * len(x), kernel="precomputed").fit(centred, y - y.mean()).predict(centred)
    found = trained("svc", x, y, gamma=gamma, alpha=alpha).predict(x)[:, 0]
    np.testing.assert_allclose(found, exact + y.mean(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("classes", [2, 3])
def test_with_every_row_a_landmark_classes_are_those_of_kernel_logistic_regression(classes):
    x, y = crossed(200)
    labels = np.digitize(y, [0.0, 1.0][: classes - 1])
    z, gamma = StandardScaler().fit_transform(x), 0.5
    columns = Nystroem(gamma=gamma / 4, n_components=200).fit_transform(z)
    expected = LogisticRegression(C=2.0, max_iter=1000, tol=1e-8).fit(columns, labels).predict_proba(columns)
    own = {"gamma": gamma, "C": 2.0, "loss": "logistic", "balanced": False}
    found = trained("svc", x, labels, classes=classes, **own).predict(x)
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-3)  # each ends near the lowest loss


@pytest.mark.parametrize("classes", [2, 3])
def test_with_every_row_a_landmark_margins_are_those_of_a_linear_machine_of_the_kernels_columns(classes):
    x, y = crossed(200)
    labels, gamma = np.digitize(y, [0.0, 1.0][: classes - 1]), 0.5
    columns = Nystroem(gamma=gamma / 4, n_components=200).fit_transform(StandardScaler().fit_transform(x))
    expected = LinearSVC(C=2.0, dual=False, tol=1e-8).fit(columns, labels).decision_function(columns)
    model = trained("svc", x, labels, classes=classes, gamma=gamma, C=2.0, balanced=False)
    found = np.log(model.predict(x))
    ratio = (found - found[:, :1])[:, 1:]
    steep = (expected - expected[:, :1])[:, 1:] if classes > 2 else 2 * expected[:, None]
    slope = np.median(ratio / steep)
    assert 0.1 < slope < 100
    np.testing.assert_allclose(ratio, slope * steep, rtol=0, atol=0.01 * np.abs(ratio).max())


@pytest.mark.parametrize("loss", ["hinge", "logistic"])
def test_it_tells_classes_apart_where_libsvm_does(loss):
    (x, y), (far, _) = crossed(1000, noise=0.2), crossed(1000, seed=1)
    labels = (y > 0).astype(int)
    expected = SVC(gamma=0.25).fit(StandardScaler().fit_transform(x), labels)
    found = trained("svc", x, labels, classes=2, gamma=1.0, C=1.0, loss=loss).predict(far)
    assert np.mean(found.argmax(axis=1) == expected.predict(StandardScaler().fit(x).transform(far))) > 0.9


def test_margins_that_did_not_hold_in_the_newest_rows_say_little():
    x, y = crossed(1000)
    labels = (y > 0).astype(int)
    turned = np.where(np.arange(1000) >= 850, 1 - labels, labels)
    sure, unsure = (trained("svc", x, told, classes=2, gamma=1.0).predict(x).max(axis=1) for told in (labels, turned))
    assert np.median(unsure) < 0.55 < 0.8 < np.median(sure)


def test_far_from_all_landmarks_every_row_gets_the_same():
    x, y = crossed()
    model = trained("svc", x, y)
    far = np.vstack([1e6 * np.eye(4), -1e20 * np.eye(4)]).astype(np.float32)
    answer = model.predict(far)
    assert np.ptp(answer) == 0.0
    np.testing.assert_allclose(served(model, far), answer, rtol=1e-6)


@given(rows=st.integers(1, 5000), wanted=st.integers(1, 300), seed=st.integers(0, 9))
def test_rows_are_drawn_evenly_over_time(rows, wanted, seed):
    found = spread_out(rows, wanted, seed)
    assert len(found) == min(rows, wanted)
    assert (np.diff(found) > 0).all()
    if rows > wanted:
        stretch = rows / wanted
        assert (np.abs(found - (np.arange(wanted) + 0.5) * stretch) <= stretch / 2 + 1).all()
    np.testing.assert_array_equal(found, spread_out(rows, wanted, seed))


def test_more_rows_than_fit_are_thinned_over_all_of_the_time(monkeypatch):
    assert MAX_ROWS == 30_000
    monkeypatch.setattr("bellwether.models.svc.MAX_ROWS", 500)
    x, y = crossed(4000)
    model = trained("svc", x, y, gamma=1.0)
    for part in (slice(0, 2000), slice(2000, 4000)):
        assert np.corrcoef(model.predict(x[part])[:, 0], y[part])[0, 1] > 0.7


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_epochs_of_the_perceptron_are_those_of_scikit_learn_in_one_stream_of_draws(monkeypatch, classes):
    monkeypatch.setattr(mlp, "EPOCHS", 2)
    x, y = crossed(400)
    early = np.arange(len(x)) < 340
    scaler = StandardScaler().fit(x[early])
    z, after = (scaler.transform(part).astype(np.float32) for part in (x[early], x))
    own = {"hidden_layer_sizes": (16, 16), "alpha": 0.01, "learning_rate_init": 1e-3, "batch_size": 64}
    own["random_state"] = np.random.RandomState(0)
    params = {"layers": 2, "units": 16, "alpha": 0.01, "batch": 64, "balanced": False}
    if classes:
        labels = np.digitize(y, [0.0, 1.0][: classes - 1])
        model = MLPClassifier(**own).partial_fit(z, labels[early], classes=np.arange(classes))
        model.partial_fit(z, labels[early])
        expected, told = model.predict_proba(after), labels
    else:
        mean, spread = y.mean(), y.std()
        model = MLPRegressor(**own).partial_fit(z, (y[early] - mean) / spread)
        model.partial_fit(z, (y[early] - mean) / spread)
        expected, told = (model.predict(after) * spread + mean)[:, None], y
    found = trained("mlp", x, told, classes=classes, **params).predict(x)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_the_perceptron_of_the_best_epoch_is_kept():
    x, y = crossed(800, noise=2.0)
    labels = (y > 0).astype(int)
    rows = plain(x, labels, classes=2)
    params = family("mlp").standard(Task.CLASSIFY) | {"learning_rate": 1e-2, "balanced": False, "units": 128}
    walk, epochs = family("mlp").walk(rows, params), []
    while True:
        try:
            epochs.append(next(walk))
        except StopIteration as end:
            model = end.value
            break
    late = rows.parted(mlp.TAIL)[1]
    logits = np.log(model.predict(late.x))
    loss = -log_softmax(logits, axis=1)[np.arange(len(late.y)), late.y].mean()
    assert loss <= min(e.validation for e in epochs) + 1e-6
    assert loss < epochs[-1].validation - 1e-4
    assert epochs[-1].done < 1.0  # it was over-fitted by then, and stopped
    assert len(epochs) <= 16


def test_the_perceptron_does_not_learn_from_its_tail():
    x, y = crossed(1000)
    rows = plain(x, y)
    late = np.arange(1000) >= 850
    turned = replace(rows, y=np.where(late[:, None], -rows.y, rows.y))
    one, two = (family("mlp").train(r, family("mlp").standard(Task.REGRESS)) for r in (rows, turned))
    assert np.corrcoef(one.predict(x[late])[:, 0], y[late])[0, 1] > 0.5
    assert np.corrcoef(two.predict(x[late])[:, 0], y[late])[0, 1] > -0.1


@both
def test_one_class_is_answered_without_a_model(name):
    model = trained(name, np.random.default_rng(0).normal(size=(30, 2)), np.full(30, 1), classes=3)
    assert isinstance(model, Constant)


@both
def test_a_class_that_only_the_newest_rows_have_is_no_reason_to_fail(name):
    x, y = crossed(500)
    labels = np.where(np.arange(500) >= 470, 2, y > 0).astype(int)
    answer = trained(name, x, labels, classes=3).predict(x)
    assert np.isfinite(answer).all()


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value encountered")
def test_a_rate_that_breaks_the_perceptron_is_named():
    x, y = crossed(300)
    with pytest.raises(ModelError, match=r"no network at learning_rate 1e\+30: .*non-finite.* Lower it"):
        trained("mlp", x, y, learning_rate=1e30, layers=2)
