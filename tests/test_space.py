"""One space over all families: a draw is of one family, each family has its turn, and its defaults come first."""

from __future__ import annotations

import pytest
from optuna import create_study
from optuna.samplers import RandomSampler
from optuna.trial import FixedTrial

from bellwether import models
from bellwether.errors import ConfigError
from bellwether.models import family
from bellwether.models.base import Task
from tune.space import Space, first_points


def test_a_draw_holds_the_parameters_of_its_family_only():
    study = create_study(sampler=RandomSampler(seed=0))
    seen = set()
    for _ in range(12):
        trial = study.ask()
        drawn = Space(("logistic", "extra_trees"), Task.CLASSIFY)(trial)
        seen.add(drawn["family"])
        assert set(trial.params) == {"family"} | {f"{drawn['family']}.{name}" for name in drawn["params"]}
    assert seen == {"logistic", "extra_trees"}


def test_half_of_the_budget_goes_round_the_families():
    names = ("logistic", "extra_trees", "random_forest")
    points = first_points(names, Task.CLASSIFY, trials=20)
    assert [p["family"] for p in points] == list(names) * 3
    assert [p["family"] for p in first_points(names, Task.CLASSIFY, trials=3)] == list(names)


def test_each_family_is_first_tried_with_its_defaults():
    points = first_points(("logistic", "extra_trees"), Task.CLASSIFY, trials=8)
    for point, name in zip(points, ("logistic", "extra_trees"), strict=False):
        standard = models.family(name).standard(Task.CLASSIFY)
        assert {key.removeprefix(f"{name}."): value for key, value in point.items() if key != "family"} == standard
    assert all(set(point) == {"family"} for point in points[2:])


def test_each_family_needs_a_trial():
    with pytest.raises(ConfigError, match=r"search\.trials is 2, but 3 families \(a, b, c\)"):
        first_points(("a", "b", "c"), Task.CLASSIFY, trials=2)
    with pytest.raises(ConfigError, match="baselines only"):
        first_points((), Task.CLASSIFY, trials=2)


@pytest.mark.parametrize("task", Task)
def test_the_first_point_of_a_family_is_exactly_its_defaults(task):
    """A point names what Optuna knows; a family that draws one thing and returns another would get a random draw."""
    known = [models.family(name) for name in models.family_names()]
    names = tuple(kind.name for kind in known if task in kind.tasks and not kind.baseline)
    study = create_study(sampler=RandomSampler(seed=0))
    for point in first_points(names, task, trials=len(names)):
        study.enqueue_trial(point)
    for name in names:
        drawn = Space(names, task)(study.ask())
        assert drawn == {"family": name, "params": models.family(name).standard(task)}


def test_where_rows_are_asked_for_alone_no_family_looks_back():
    fixed = {"family": "ridge"} | {
        f"ridge.{key}": value for key, value in family("ridge").standard(Task.REGRESS).items()
    }
    fixed["ridge.lookback"] = 12
    assert Space(("ridge",), Task.REGRESS)(FixedTrial(fixed))["params"]["lookback"] == 12
    assert Space(("ridge",), Task.REGRESS, alone=True)(FixedTrial(fixed))["params"]["lookback"] == 1
