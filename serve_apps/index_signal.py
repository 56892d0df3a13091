"""The index signal over HTTP: an ingress that asks the shards and composes their answers.

``serve run serve_apps.index_signal:build recipe=index-hourly`` deploys it, ``serve_apps/config.yaml`` describes it for
``serve deploy``, and ``bellwether serve index-hourly`` does either's work with the settings of the command line.
"""

# No postponed annotations here: Serve looks at the type of what `build` takes to make it of a config's `args`.

from typing import Annotated

from pydantic import Field
from ray import serve

from bellwether.config import Recipe, load_recipe
from bellwether.errors import ConfigError
from serve_apps.args import AppArgs
from serve_apps.deploying import deployment
from serve_apps.index.component_predictor import ComponentPredictor
from serve_apps.index.ingress import IndexSignal
from serve_apps.index.published import publish
from serve_apps.index.releases import resolved
from serve_apps.index.sharding import shards
from serve_apps.models.routes import to_config


class IndexSignalArgs(AppArgs):
    """What `build` takes, on the command line of ``serve run`` or under ``args`` in a Serve config.

    Parameters
    ----------
    shards : int or list of lists of str, optional
        Deployments the components are spread over: how many, or the symbols of each; the recipe's, if left out.
    """

    shards: Annotated[int, Field(ge=1)] | tuple[tuple[str, ...], ...] | None = None


def build(args: IndexSignalArgs) -> serve.Application:
    """The app: `IndexSignal` over shards of `ComponentPredictor`, with the versions that carry the aliases now.

    The versions are in ``user_config`` and nowhere else, so that others can be handed to running replicas.

    Raises
    ------
    NoChampion
        Nothing carries the alias yet.
    ModelError
        That version was made for something else than what would be served.
    UnknownName, ConfigError
        The recipe, the alias or the shards are wrong.
    """
    recipe, stores = load_recipe(args.recipe), args.stores()
    _check_served(recipe)
    routes = resolved(stores.open_registry(), recipe, args.alias, canary=args.canary, shadow=args.shadow)
    config = to_config(routes)
    publish(config, recipe, stores)  # refuses a version that its replicas would refuse
    slices = shards(recipe.universe.symbols, args.shards or recipe.serving.shards)
    predictors = []
    for k, symbols in enumerate(slices):
        shard = deployment(ComponentPredictor, f"ComponentPredictor-{k}", args, access_log=False)
        predictors.append(shard.options(user_config=config).bind(recipe, symbols, stores, name=str(k)))
    ingress = deployment(serve.ingress()(IndexSignal), "IndexSignal", args).options(user_config=config)
    settled = args.model_copy(update=vars(stores))  # a replica may have other settings than who deploys it
    app: serve.Application = ingress.bind(recipe, settled, slices, predictors, stores)
    return app


def _check_served(recipe: Recipe) -> None:
    """Refuse a recipe whose features this app does not make: it computes them from bars and the basket."""
    if (recipe.record, recipe.features.kind) != ("bars", "hourly"):
        raise ConfigError(
            f"index_signal serves the features `hourly` of bars; {recipe.name} has {recipe.features.kind} of "
            f"{recipe.record}: serve another recipe, or set `serving.app` to null"
        )
