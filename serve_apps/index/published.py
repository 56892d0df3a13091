"""What an ingress answers by: the releases, their contracts, and the policies they are composed under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bellwether.config.recipe import Recipe, own_name
from bellwether.drift import restored
from bellwether.drift.base import FittedDetector
from bellwether.errors import BellwetherError
from bellwether.expected_return import Outlook
from bellwether.models.artefact import Contract
from bellwether.signal_policy import SignalPolicy
from data.features import features_of
from serve_apps.index.releases import Release, Releases, own_recipe
from serve_apps.models.checks import check_contract
from serve_apps.models.served import Named
from serve_apps.stores import Stores


@dataclass(frozen=True, kw_only=True)
class Published:
    """Never changes; other routes are another one. A request that began with one ends with it."""

    releases: Releases
    named: tuple[Named, ...]
    policies: Mapping[int, SignalPolicy]
    outlooks: Mapping[int, Outlook | str]
    detectors: Mapping[int, FittedDetector | str]

    def contract(self, release: Release) -> Contract:
        """Of the pooled model of a release."""
        pooled = (self.releases.name, release.version)
        return next(one.contract for one in self.named if (one.name, one.version) == pooled)

    def train_end(self, release: Release) -> datetime:
        """The last bar that any model of a release was fitted on."""
        own = {(own_name(self.releases.name, symbol), version) for symbol, version in release.own}
        models = own | {(self.releases.name, release.version)}
        return max(one.contract.train_end for one in self.named if (one.name, one.version) in models)

    def policy(self, release: Release) -> SignalPolicy:
        """What the sum of a release is held against."""
        return self.policies[release.version]

    def outlook(self, release: Release) -> Outlook | str:
        """What its expected returns rest on, or why there are none."""
        if release.own:
            return "components have models of their own, whose forecast errors together are not known"
        return self.outlooks[release.version]

    def detector(self, release: Release) -> FittedDetector | str:
        """What tells whether rows still look like the training rows of its pooled model, or why nothing does."""
        return self.detectors[release.version]


def publish(config: Mapping[str, Any], recipe: Recipe, stores: Stores) -> Published:
    """Read the contracts of the versions that a ``user_config`` names.

    Raises
    ------
    ModelError
        A version was made for something else than what would be served.
    RegistryError
        There is no such version.
    """
    releases, registry = Releases.parse(config, recipe), stores.open_registry()
    known_as = {own_name(recipe.name, symbol): own_recipe(recipe, symbol) for symbol in recipe.universe.symbols}
    named = []
    for name, route in releases.routes.items():
        for version in route.versions:
            contract = registry.contract(name, version)
            check_contract(contract, known_as.get(name, recipe), features_of(recipe.features))
            named.append(Named(name=name, version=version, alias=route.name_of(version), contract=contract))
    pooled = {one.version: one.contract for one in named if one.name == recipe.name}
    return Published(
        releases=releases,
        named=tuple(named),
        policies={version: SignalPolicy.of(recipe, (c.buy, c.sell)) for version, c in pooled.items()},
        outlooks={version: Outlook.restore(c.outlook) for version, c in pooled.items()},
        detectors={version: _detector(c) for version, c in pooled.items()},
    )


def _detector(contract: Contract) -> FittedDetector | str:
    """A reference that cannot be used costs the answer to whether features have moved, and not the signal."""
    try:
        found = restored(contract.drift)
    except BellwetherError as error:
        return str(error)
    if not isinstance(found, str) and found.names != contract.features:
        return "the reference is of other features, or in another order: restore or retrain the model"
    return found
