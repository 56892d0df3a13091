"""How an app over books becomes what Serve runs: its class, with the versions that answer now."""

from __future__ import annotations

from collections.abc import Callable

from ray import serve

from bellwether.config.recipe import Recipe
from bellwether.models.artefact import Contract
from serve_apps.args import AppArgs
from serve_apps.book.app import BookApp
from serve_apps.deploying import deployment
from serve_apps.models.routes import resolve, to_config

Check = Callable[[Contract, Recipe], None]


def deployed(of: type[BookApp], name: str, args: AppArgs, recipe: Recipe, check: Check) -> serve.Application:
    """The app, answering by the version that carries the alias now.

    Raises
    ------
    NoChampion
        Nothing carries the alias yet.
    ModelError
        What ``check`` raises of a version that was made for something else, or reads what the app does not have.
    """
    stores = args.stores()
    registry = stores.open_registry()
    route = resolve(registry, recipe.name, args.alias, canary=args.canary, shadow=args.shadow)
    for version in route.versions:
        check(registry.contract(recipe.name, version), recipe)
    config = to_config({recipe.name: route})
    ingress = deployment(serve.ingress()(of), name, args).options(user_config=config)
    app: serve.Application = ingress.bind(recipe, args, stores)
    return app
