"""What can go wrong, and what to do about it.

BellwetherError
├── ConfigError           a recipe, a setting or an option is wrong
│   └── UnknownName       a name is in no table; the message lists the known ones
├── DataError             records break their schema or their source is unusable
│   ├── EmptySource       a source holds no rows
│   └── NotInLake         the lake holds no such kind or symbol
├── ModelError            a family or an artefact cannot do what it is asked
│   ├── TaskRefused       the family does not predict this kind of target
│   └── BadFeatures       features are not finite, or not the ones the model was trained on
├── RegistryError         a model version or alias cannot be found, loaded or moved
│   ├── NoChampion        nothing carries the alias yet
│   └── GateRefused       the candidate does not beat its baselines
├── SignalError           an index signal cannot be computed at all
└── ServiceError          a served app cannot be reached, or answers with an error

Every message says what was received and what to do. Errors cross process borders, so each class passes all
its arguments to ``super().__init__`` and can be pickled by Ray.
"""

from __future__ import annotations

from collections.abc import Iterable


class BellwetherError(Exception):
    """Anything Bellwether raises on purpose. The command line prints it as one line and exits with 1."""


class ConfigError(BellwetherError):
    """A recipe, a setting or an option is wrong."""


class UnknownName(ConfigError):
    """A name is in no table.

    >>> raise UnknownName("feature set", "hurly", ["hourly"])
    Traceback (most recent call last):
    ...
    bellwether.errors.UnknownName: no feature set 'hurly'; known: hourly
    """

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        self.what, self.name, self.known = what, name, tuple(sorted(known))
        super().__init__(what, name, self.known)

    def __str__(self) -> str:
        return f"no {self.what} {self.name!r}; known: {', '.join(self.known) or 'none yet'}"


class DataError(BellwetherError):
    """Records break their schema, or their source is unusable."""


class EmptySource(DataError):
    """A source holds no rows."""


class NotInLake(DataError):
    """The lake holds no such kind or symbol."""


class ModelError(BellwetherError):
    """A family or an artefact cannot do what it is asked."""


class TaskRefused(ModelError):
    """The family does not predict this kind of target."""


class BadFeatures(ModelError):
    """Features are not finite, or not the ones the model was trained on."""


class RegistryError(BellwetherError):
    """A model version or alias cannot be found, loaded or moved."""


class NoChampion(RegistryError):
    """Nothing carries the alias yet."""


class GateRefused(RegistryError):
    """The candidate does not beat its baselines."""


class SignalError(BellwetherError):
    """An index signal cannot be computed at all."""


class ServiceError(BellwetherError):
    """A served app cannot be reached, or answers with an error."""
