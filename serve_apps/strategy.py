"""Whether the mid moves by more than it costs to trade, over HTTP, from every change of the book.

``serve run serve_apps.strategy:build recipe=market-direction`` deploys it.
"""

# No postponed annotations here: Serve looks at the type of what `build` takes to make it of a config's `args`.

from ray import serve

from bellwether.config import load_recipe
from serve_apps.args import AppArgs
from serve_apps.book.checks import check_recipe
from serve_apps.book.deployed import deployed
from serve_apps.book.direction import Direction, check_direction


class StrategyArgs(AppArgs):
    """What `build` takes; see `AppArgs`. The target of the recipe is market_direction of books."""

    recipe: str = "market-direction"


def build(args: StrategyArgs) -> serve.Application:
    """The app: `Direction` with the version that carries the alias now.

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
    check_recipe(recipe, "strategy", "market_direction")
    return deployed(Direction, "Strategy", args, recipe, check_direction)
