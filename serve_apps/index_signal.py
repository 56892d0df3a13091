"""The index signal over HTTP: an ingress that asks the shards and composes their answers.

``serve run serve_apps.index_signal:build recipe=index-hourly`` deploys it, ``serve_apps/config.yaml`` describes it for
``serve deploy``, and ``bellwether serve index-hourly`` does either's work with the settings of the command line.
"""

# No postponed annotations here: Serve looks at the type of what `build` takes to make it of a config's `args`.

from typing import Any

from pydantic import Field
from ray import serve

from bellwether.config import Recipe, Settings, load_recipe
from bellwether.config.recipe import Frozen
from bellwether.errors import ConfigError
from data.features import features_of
from serve_apps.index.component_predictor import ComponentPredictor, shards
from serve_apps.index.ingress import IndexSignal, Model
from serve_apps.models.checks import check_contract
from serve_apps.stores import Stores

ONGOING = 64
"""Requests a replica works on at a time: they mostly wait for shards, or for the loop."""

CPUS = 0.1
"""What Ray reserves for a replica; an app of a few of them fits on one core."""


class IndexSignalArgs(Frozen):
    """What `build` takes, on the command line of ``serve run`` or under ``args`` in a Serve config.

    Parameters
    ----------
    recipe : str
        Name of a bundled recipe, or the path of a YAML file.
    alias : str
        Which version answers: the one that carries this alias when the app is built. Promote, then deploy again.
    shards : int, optional
        Deployments the components are spread over; the recipe's, if left out.
    lake, tracking_uri, ledger : str, optional
        Where bars and models are; from ``BELLWETHER_*``, if left out.
    """

    recipe: str
    alias: str = "Production"
    shards: int | None = Field(default=None, ge=1)
    lake: str | None = None
    tracking_uri: str | None = None
    ledger: str | None = None


def build(args: IndexSignalArgs) -> serve.Application:
    """The app: `IndexSignal` over shards of `ComponentPredictor`, all with the version that carries the alias now.

    Raises
    ------
    NoChampion
        Nothing carries the alias yet.
    ModelError
        That version was made for something else than what would be served.
    UnknownName, ConfigError
        The recipe or the alias is wrong.
    """
    recipe = load_recipe(args.recipe)
    _check_served(recipe)
    given = args.model_dump(include={"lake", "tracking_uri", "ledger"}, exclude_none=True)
    settings = Settings(**given)
    stores = Stores(lake=settings.lake, tracking_uri=settings.tracking_uri, ledger=settings.ledger)
    registry = stores.open_registry()
    version = registry.resolve(recipe.name, args.alias)
    contract = registry.contract(recipe.name, version)
    check_contract(contract, recipe, features_of(recipe.features))
    model = Model(name=recipe.name, version=version, alias=args.alias, contract=contract)
    slices = shards(recipe.universe.symbols, args.shards or recipe.serving.shards)
    predictors = [
        deployment(ComponentPredictor, f"ComponentPredictor-{k}", access_log=False).bind(
            recipe, symbols, version, stores
        )
        for k, symbols in enumerate(slices)
    ]
    ingress = deployment(serve.ingress()(IndexSignal), "IndexSignal")
    app: serve.Application = ingress.bind(recipe, model, slices, predictors, stores)
    return app


def _check_served(recipe: Recipe) -> None:
    """Refuse a recipe whose features this app does not make: it computes them from bars and the basket."""
    if (recipe.record, recipe.features.kind) != ("bars", "hourly"):
        raise ConfigError(
            f"index_signal serves the features `hourly` of bars; {recipe.name} has {recipe.features.kind} of "
            f"{recipe.record}: serve another recipe, or set `serving.app` to null"
        )


def deployment(of: type, name: str, access_log: bool = True) -> Any:
    """A class with the options all of them share. Shards log no calls: the ingress logs the request behind them."""
    return serve.deployment(
        name=name,
        max_ongoing_requests=ONGOING,
        ray_actor_options={"num_cpus": CPUS},
        logging_config={"enable_access_log": access_log},
    )(of)
