"""A recipe with variants is several recipes on the same features: each has its own name, target and models."""

import pytest
import yaml

from bellwether.config import load_recipe
from bellwether.config.recipe import RECIPES
from bellwether.errors import ConfigError, UnknownName
from bellwether.models import family
from bellwether.registry.versions import NAMES
from data.features.market import features_kind
from data.targets import target_kind
from pipelines.workspace import Workspace

VARIED = {
    f"{path.stem}/{variant}": load_recipe(path.stem)
    for path in sorted(RECIPES.glob("*.yaml"))
    for variant in load_recipe(path.stem).variants
}


@pytest.fixture
def write(tmp_path):
    def write(**variants):
        recipe = yaml.safe_load((RECIPES / "ticks.yaml").read_text(encoding="utf-8")) | {"variants": variants}
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
        return str(path)

    return write


def test_the_trades_foretell_seven_things():
    names = {f"{r.target.kind}_{r.target.horizon}" for r in map(load_recipe, ["ticks", *VARIED]) if "lob" not in r.name}
    every = {f"{kind}_{n}" for kind in ("direction", "future_return") for n in (1, 5, 10)} | {"return_bucket_1"}
    assert names >= every


@pytest.mark.parametrize("name", VARIED)
def test_a_variant_has_a_name_the_registry_takes_and_shares_the_features_it_does_not_name(name):
    recipe = load_recipe(name)
    assert recipe.name == name.replace("/", ".")
    assert NAMES.fullmatch(recipe.name)
    main, variant = load_recipe(name.partition("/")[0]), name.partition("/")[2]
    assert (features_kind(recipe) == features_kind(main)) == (main.variants[variant].features is None)
    assert recipe.variants == {}


@pytest.mark.parametrize("name", VARIED)
def test_families_of_a_variant_can_do_what_it_asks(name):
    recipe = load_recipe(name)
    for each in recipe.families:
        family(each).check(target_kind(recipe.target.kind).task)


def test_a_variant_replaces_what_it_says_and_nothing_else(write):
    own = {
        "target": {"kind": "future_return", "horizon": 7},
        "families": ["ridge"],
        "embargo": 9,
        "gate": {"min_lift": 1},
    }
    path = write(mine=own)
    main, variant = load_recipe(path), load_recipe(f"{path}/mine")
    assert (variant.target.horizon, variant.families, variant.validation.embargo) == (7, ("ridge",), 9)
    assert variant.gate.min_lift == 1
    same = ("universe", "features", "search", "session", "source", "serving")
    assert all(getattr(main, key) == getattr(variant, key) for key in same)
    assert variant.validation.folds == main.validation.folds


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ({"target": {"horizon": 9}}, r"variant x: .*embargo \(5\) must be at least target.horizon \(9\)"),
        ({"target": {"horizon": 9}, "embargo": 8}, r"embargo \(8\) must be at least"),
        ({"families": ["ridge"]}, "variants.x.target: Field required"),
        ({"target": {}, "source": {}}, "variants.x.source: Extra inputs"),
        ({"target": {}, "families": []}, "variants.x.families"),
    ],
)
def test_a_wrong_variant_is_named(write, variant, message):
    with pytest.raises(ConfigError, match=message):
        load_recipe(write(x=variant))


def test_a_name_with_a_slash_is_no_variant(write):
    with pytest.raises(ConfigError, match="variants"):
        load_recipe(write(**{"a/b": {"target": {}}}))


def test_an_unknown_variant_lists_the_known_ones(write):
    with pytest.raises(UnknownName, match="no variant of ticks 'nope'; known: a, b"):
        load_recipe(write(b={"target": {}}, a={"target": {}}) + "/nope")
    with pytest.raises(UnknownName, match="no recipe 'nope/direction_1'"):
        load_recipe("nope/direction_1")


def test_a_workspace_remembers_where_a_variant_is_from(home, tmp_path, monkeypatch, write):
    path = write(a={"target": {}})
    monkeypatch.chdir(tmp_path)
    workspace = Workspace.open("mine.yaml/a")
    assert (workspace.source, workspace.recipe.name) == (f"{path}/a", "ticks.a")
    assert Workspace.open("ticks/direction_1").source == "ticks/direction_1"
