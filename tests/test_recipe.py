"""A recipe is read whole, refuses what it does not know, and says which key is wrong."""

import pytest
import yaml

from bellwether.config import load_recipe
from bellwether.config.recipe import RECIPES
from bellwether.errors import ConfigError, UnknownName
from pipelines.workspace import Workspace
from serve_apps.index_signal import IndexSignalArgs, build

BUNDLED = sorted(p.stem for p in RECIPES.glob("*.yaml"))


@pytest.fixture
def write(tmp_path):
    def write(**changes):
        recipe = yaml.safe_load((RECIPES / "index-hourly.yaml").read_text(encoding="utf-8")) | changes
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
        return str(path)

    return write


@pytest.mark.parametrize("name", BUNDLED)
def test_every_bundled_recipe_is_valid_and_named_after_its_file(name):
    assert load_recipe(name).name == name


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UnknownName, match="no recipe 'index-daily'; known: index-hourly"):
        load_recipe("index-daily")


def test_a_file_that_is_not_there_is_said_so():
    with pytest.raises(ConfigError, match=r"no such file: ./absent\.yaml"):
        load_recipe("./absent.yaml")


def test_a_file_is_a_recipe_too(write):
    assert load_recipe(write(name="mine")).name == "mine"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"famlies": []}, "famlies: Extra inputs"),
        ({"interval": "one hour"}, "interval: String should match"),
        ({"session": {"timezone": "New York"}}, "no time zone 'New York'"),
        ({"session": {"opens": "16:00", "closes": "09:30"}}, "opens .* before it closes"),
        ({"validation": {"holdout": 1.5}}, "validation.holdout"),
        ({"serving": {"buy": -1, "sell": 1}}, r"sell \(1.0\) must be below buy \(-1.0\)"),
        ({"families": []}, "families"),
        ({"target": {"overnight": "sometimes"}}, "target.overnight"),
        ({"interval": "0h"}, "interval: String should match"),
        ({"target": {"horizon": 3}}, r"embargo \(1\) must be at least target.horizon \(3\)"),
    ],
)
def test_a_wrong_key_is_named(write, change, message):
    with pytest.raises(ConfigError, match=message):
        load_recipe(write(**change))


def test_a_symbol_listed_twice_is_named(write):
    universe = load_recipe("index-hourly").universe.model_dump() | {"symbols": ["A", "B", "A"]}
    with pytest.raises(ConfigError, match="more than once: A"):
        load_recipe(write(universe=universe))


@pytest.mark.parametrize("read", [load_recipe, Workspace.open, lambda path: build(IndexSignalArgs(recipe=path))])
def test_symbols_whose_own_models_would_have_one_name_are_refused_wherever_the_recipe_is_read(write, home, read):
    universe = load_recipe("index-hourly").universe.model_dump() | {"symbols": ["BRK/B", "A", "BRK-B"]}
    message = (
        r"the own models of BRK/B and BRK-B would both be called index-hourly\.BRK-B: "
        r"leave one of the symbols out, or say `serving\.models: pooled`"
    )
    with pytest.raises(ConfigError, match=message):
        read(write(universe=universe, serving={"models": "per_symbol"}))


def test_symbols_may_resemble_each_other_where_they_share_a_model_or_the_registry_tells_them_apart(write):
    index = load_recipe("index-hourly").universe.model_dump()
    assert load_recipe(write(universe=index | {"symbols": ["BRK/B", "BRK-B"]})).serving.models == "pooled"
    apart = {"universe": index | {"symbols": ["BRK/B", "BRK.B"]}, "serving": {"models": "per_symbol"}}
    assert load_recipe(write(**apart)).serving.models == "per_symbol"


def test_a_file_that_is_no_yaml_is_said_so(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("name: [", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"broken\.yaml is not a recipe"):
        load_recipe(str(path))


@pytest.mark.parametrize(("interval", "minutes"), [("1h", 60), ("5min", 5), ("1d", 1440)])
def test_interval_in_nanoseconds(write, interval, minutes):
    assert load_recipe(write(interval=interval)).interval_ns == minutes * 60 * 1_000_000_000


def test_bars_are_hourly_unless_said_otherwise_and_events_have_no_interval(write):
    assert load_recipe(write()).kind == "bars/1h"
    ticks = load_recipe("ticks")
    assert (ticks.kind, ticks.interval_ns) == ("ticks", 0)
    assert load_recipe("price-forecast").kind == "books/5min"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"record": "factors", "interval": None}, "interval: factors have one; say it"),
        ({"record": "ticks"}, "interval: ticks are events and have none; leave it out"),
        ({"record": "quotes"}, "record: Input should be 'bars', 'ticks', 'books', 'deltas' or 'factors'"),
        ({"features": {"kind": "hourly", "option": {}}}, r"features\.option: Extra inputs"),
        ({"universe": {"name": "u", "symbols": ["A"]}}, "index_signal needs universe.index and universe.weights"),
    ],
)
def test_records_are_named_with_what_belongs_to_them(write, change, message):
    with pytest.raises(ConfigError, match=message):
        load_recipe(write(**change))


def test_a_feature_set_may_be_named_alone_or_with_options(write):
    assert load_recipe(write(features="hourly")).features == load_recipe(write(features={"kind": "hourly"})).features
    assert load_recipe("ticks").features.options == {"lookbacks": [5, 10, 20, 50]}


def test_a_recipe_that_serves_nothing_needs_no_index(write):
    universe = {"name": "u", "symbols": ["A"]}
    assert load_recipe(write(universe=universe, serving={"app": None})).universe.weights is None


@pytest.mark.parametrize(("recipe", "reads"), [("ticks", "ticks of ticks"), ("price-forecast", "books-5min of books")])
def test_a_recipe_of_other_features_is_refused_by_the_app_before_anything_is_deployed(recipe, reads, home):
    with pytest.raises(ConfigError, match=f"serves the features `hourly` of bars; {recipe} has {reads}"):
        build(IndexSignalArgs(recipe=recipe))
