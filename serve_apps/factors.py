"""The next interval's sell rate over HTTP, from three rates of the present one: as a share, and as low or high.

``serve run serve_apps.factors:build recipe=level2-factors`` deploys it.
"""

# No postponed annotations here: Serve looks at the type of what `build` takes to make it of a config's `args`.

from ray import serve

from bellwether.config import Recipe, load_recipe
from bellwether.errors import ConfigError
from serve_apps.args import AppArgs
from serve_apps.deploying import deployment
from serve_apps.factor.checks import check_rates
from serve_apps.factor.ingress import Factors
from serve_apps.models.routes import resolve, to_config

TARGETS = {"regression": "sell_rate", "classification": "sell_rate_high"}
"""What each variant of the recipe must predict."""

FEATURES = "rates"
"""And from what."""


class FactorsArgs(AppArgs):
    """What `build` takes; see `AppArgs`. The recipe has the variants `TARGETS`."""

    recipe: str = "level2-factors"


def build(args: FactorsArgs) -> serve.Application:
    """The app: `Factors` with the versions that carry the alias now.

    Raises
    ------
    NoChampion
        Nothing carries the alias yet, for one of the variants.
    ModelError
        A version was made for something else than would be served.
    UnknownName, ConfigError
        The recipe, or a variant of it, is missing or of another kind.
    """
    recipes = {task: _variant(args.recipe, task) for task in TARGETS}
    stores = args.stores()
    registry, routes = stores.open_registry(), {}
    for recipe in recipes.values():
        route = resolve(registry, recipe.name, args.alias, canary=args.canary, shadow=args.shadow)
        for version in route.versions:
            check_rates(registry.contract(recipe.name, version), recipe)
        routes[recipe.name] = route
    ingress = deployment(serve.ingress()(Factors), "Factors", args).options(user_config=to_config(routes))
    app: serve.Application = ingress.bind(recipes, stores, args)
    return app


def _variant(name: str, task: str) -> Recipe:
    recipe = load_recipe(f"{name}/{task}")
    found = (recipe.target.kind, recipe.features.kind)
    if found != (TARGETS[task], FEATURES):
        raise ConfigError(
            f"factors serves {TARGETS[task]} of the features {FEATURES} as {task}; {recipe.name} has {found[0]} of "
            f"{found[1]}: serve another recipe"
        )
    return recipe
