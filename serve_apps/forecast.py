"""Mid prices of the next steps over HTTP, with intervals, from snapshots of the book.

``serve run serve_apps.forecast:build recipe=price-forecast`` deploys it.
"""

# No postponed annotations here: Serve looks at the type of what `build` takes to make it of a config's `args`.

from ray import serve

from bellwether.config import load_recipe
from bellwether.errors import ConfigError
from serve_apps.args import AppArgs
from serve_apps.book.checks import check_recipe
from serve_apps.book.deployed import deployed
from serve_apps.book.forecast import Forecast, check_forecast


class ForecastArgs(AppArgs):
    """What `build` takes; see `AppArgs`. The target of the recipe is mid_price of books."""

    recipe: str = "price-forecast"


def build(args: ForecastArgs) -> serve.Application:
    """The app: `Forecast` with the version that carries the alias now.

    Raises
    ------
    NoChampion
        Nothing carries the alias yet.
    ModelError
        That version was made for something else than would be served, or reads what this app does not have.
    UnknownName, ConfigError
        The recipe or the alias is wrong.
    """
    recipe = load_recipe(args.recipe)
    check_recipe(recipe, "forecast", "mid_price")
    if recipe.interval is None:
        raise ConfigError(f"forecast serves books taken once an interval; {recipe.name} has every change: sample them")
    return deployed(Forecast, "Forecast", args, recipe, check_forecast)
