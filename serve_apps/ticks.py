"""Predictions of trades over HTTP: a recipe's model and those of its variants, on one state a symbol.

``serve run serve_apps.ticks:build recipe=ticks`` deploys it.
"""

# No postponed annotations here: Serve looks at the type of what `build` takes to make it of a config's `args`.

from ray import serve

from bellwether.config import Recipe, load_recipe
from bellwether.errors import ConfigError
from data.features import features_of
from serve_apps.args import AppArgs
from serve_apps.deploying import deployment
from serve_apps.models.checks import check_contract
from serve_apps.models.routes import to_config
from serve_apps.tick.ingress import Ticks
from serve_apps.tick.models import recipes_by_model, routes_of


class TicksArgs(AppArgs):
    """What `build` takes; see `AppArgs`.

    A trade in a request for a prediction is known to the replica that answers alone, so there is one replica unless it
    is said otherwise. Several agree on what is posted to ``/ticks``, or with ``durable``.
    """

    recipe: str = "ticks"


def build(args: TicksArgs) -> serve.Application:
    """The app: `Ticks` with every model of the recipe and its variants of which a version carries the alias now.

    Where none does, the app starts, and ``/ready`` says so.

    Raises
    ------
    ModelError
        A version was made for something else than would be served.
    UnknownName, ConfigError
        The recipe or the alias is wrong, or the features are not those of trades.
    """
    recipe = load_recipe(args.recipe)
    _check_served(recipe)
    recipes, registry = recipes_by_model(recipe), args.stores().open_registry()
    routes = routes_of(registry, recipes, args)
    for one in recipes.values():
        for version in routes[one.name].versions if one.name in routes else ():
            check_contract(registry.contract(one.name, version), one, features_of(one.features))
    ingress = deployment(serve.ingress()(Ticks), "Ticks", args).options(user_config=to_config(routes))
    app: serve.Application = ingress.bind(args, recipes)
    return app


def _check_served(recipe: Recipe) -> None:
    """Refuse a recipe whose features this app does not make a trade at a time."""
    if (recipe.record, recipe.features.kind) != ("ticks", "ticks"):
        raise ConfigError(
            f"ticks serves the features `ticks` of trades; {recipe.name} has {recipe.features.kind} of "
            f"{recipe.record}: serve another recipe, or set `serving.app` to null"
        )
