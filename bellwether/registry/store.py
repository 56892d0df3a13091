"""The registry: versions, and the two aliases that serving follows, moved only with a line in the ledger.

A move is written to the ledger first and made in MLflow second, both under the ledger's lock. So no alias moves
without a line, and a crash between the two leaves the alias where it was, at odds with its last line.
`Registry.unsettled` reports that; the next move of the alias first writes a ``settle`` line with the version that it
really holds, and then goes on. An alias that was moved with other tools is found and settled in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from bellwether.errors import GateRefused, RegistryError
from bellwether.models.artefact import Contract
from bellwether.registry.backend import asking
from bellwether.registry.ledger import Book, Entry, Ledger
from bellwether.registry.sweep_run import SweepRun
from bellwether.registry.trail import given, told, trail
from bellwether.registry.versions import ALIASES, Versions


def now() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)


class Registry(Versions):
    """The versions in one MLflow store and the ledger of their promotions.

    Parameters
    ----------
    tracking_uri : str
        See `bellwether.registry.backend.Backend`.
    ledger : Ledger
    clock : callable
        Gives the time that ledger lines carry.
    """

    def __init__(self, tracking_uri: str, ledger: Ledger, *, clock: Callable[[], datetime] = now) -> None:
        super().__init__(tracking_uri)
        self.ledger, self.clock = ledger, clock

    @property
    def store(self) -> str:
        """What the ledger's lines call this store; see `bellwether.registry.backend.Backend.identity`."""
        return self._backend.identity

    def promote(self, name: str, version: int, alias: str, *, who: str, why: str) -> None:
        """Give ``alias`` to a version whose gate passed. If it has it already, nothing is done or written.

        Raises
        ------
        GateRefused
            The version does not beat its baselines; the message has the figures.
        RegistryError
            There is no such version, ``who`` or ``why`` is empty, or the ledger is broken.
        UnknownName
            The alias is none of `ALIASES`.
        """
        _said(who=who, why=why)
        self._holder(name, alias)  # refuses an unknown alias first
        contract = self.contract(name, version)
        _admit(contract, name, version, alias)
        with self.ledger.writing() as book:
            held = self._settle(book, name, alias, who)
            if held != version:
                line = Entry(
                    ts=self.clock(),
                    who=who,
                    action="promote",
                    name=name,
                    alias=alias,
                    store=self.store,
                    version=version,
                    previous=held,
                    why=why,
                    gate=contract.verdict,
                )
                self._move(book, line)

    def sweep_run(self, name: str, sweep: str) -> SweepRun:
        """The MLflow run of a sweep of this recipe, made if it is not there yet."""
        return SweepRun(self._backend, name, sweep)

    def rollback(self, name: str, alias: str, *, who: str, why: str) -> int:
        """Give ``alias`` back to the version that held it before, and return that version.

        Two rollbacks undo two promotions.

        Raises
        ------
        GateRefused
            The alias was given to that version with other tools, past its gate; it stays where it is.
        NoChampion
            Nothing carries the alias.
        RegistryError
            The ledger knows of no earlier version, it is gone, or as `promote`.
        """
        _said(who=who, why=why)
        self.resolve(name, alias)
        with self.ledger.writing() as book:
            held = self._settle(book, name, alias, who)
            *_, back = (0, *trail(book.entries, self.store, name, alias)[:-1])
            if not back:
                raise RegistryError(
                    f"{name} version {held} is the first the ledger knows as {alias}: there is none to go back to; "
                    "promote another version"
                )
            contract = self.contract(name, back)
            _admit(contract, name, back, alias)
            line = Entry(
                ts=self.clock(),
                who=who,
                action="rollback",
                name=name,
                alias=alias,
                store=self.store,
                version=back,
                previous=held,
                why=why,
                gate=contract.verdict,
            )
            self._move(book, line)
            return back

    def given(self, name: str, alias: str) -> tuple[int, ...]:
        """Every version the ledger knows to have held an alias, oldest first, what was rolled back included.

        Raises
        ------
        RegistryError
            The ledger is broken.
        """
        return given(self.ledger.entries(), self.store, name, alias)

    def unsettled(self, name: str) -> tuple[str, ...]:
        """One line for each alias that is not where the ledger's last line for it says; empty when all is well."""
        entries = self.ledger.entries()
        found = ((alias, told(entries, self.store, name, alias), self._holder(name, alias)) for alias in ALIASES)
        return tuple(
            f"{alias} of {name} is on {held}, the ledger says {said}: a move was not finished, or made elsewhere"
            for alias, said, held in found
            if said != held
        )

    def _settle(self, book: Book, name: str, alias: str, who: str) -> int | None:
        """Bring the ledger's last line for the alias in step with where it is; returns that version."""
        held, said = self._holder(name, alias), told(book.entries, self.store, name, alias)
        if held != said:
            line = Entry(
                ts=self.clock(),
                who=who,
                action="settle",
                name=name,
                alias=alias,
                store=self.store,
                version=held,
                previous=said,
                why=f"found here; the move to {said} was not finished, or this one was made elsewhere",
            )
            book.append(line)
        return held

    def _move(self, book: Book, line: Entry) -> None:
        book.append(line)
        with asking(f"give {line.alias} to {line.name} version {line.version}"):
            self._backend.client.set_registered_model_alias(line.name, line.alias, str(line.version))


def _said(**words: str) -> None:
    for what, text in words.items():
        if not text.strip():
            raise RegistryError(f"the ledger needs to know {what}: it is empty")


def _admit(contract: Contract, name: str, version: int, alias: str) -> None:
    verdict = contract.verdict
    if verdict.get("passed") is True:
        return
    figures = ", ".join(f"{k} {v:.4f}" for k, v in verdict.items() if isinstance(v, float))
    raise GateRefused(
        f"{name} version {version} ({contract.family}) cannot become {alias}, its gate refused it: "
        f"{verdict.get('reason', 'no reason given')} ({figures or 'no figures'}). Promote a version "
        "that passed, or train with other data or families"
    )
