"""What came of every row that was to enter the lake."""

from __future__ import annotations

from dataclasses import dataclass

from data.intake.gaps import GapIs


@dataclass(frozen=True, kw_only=True)
class IngestReport:
    """What came of every row: ``rows_in`` is ``kept`` plus everything quarantined.

    Parameters
    ----------
    kind : str
        Where the records are in the lake.
    rows_in, kept : int
        Rows of the source, and those that are records.
    added, revised, unchanged : int
        Of the kept: those with a key the lake had no record of, had another record of, and those it had.
    quarantined : dict of str to int
        Rejected rows by reason; they are in the lake under ``quarantine/<kind>``.
    unsorted : int
        Rows that came after a later record of their symbol, or of its date where the kind is kept by date.
    gaps : int
        Of records with an interval: (symbol, time) pairs without a record although another symbol has one, between the
        symbol's first and last in the lake; of the universe and its index, where a recipe is ingested. Of events, on
        the dates that the source has: breaks in the feed's own numbering where it has one, else silences.
    gap_is : str
        Which of these was counted; see `data.intake.gaps`.
    symbols : tuple of str
        Everything the source has records of, in the universe or not.
    absent : tuple of str
        Symbols of the universe, or its index, without a record in this batch; the lake has earlier ones.
    version : str
        The lake's version of the kind afterwards.
    """

    kind: str
    rows_in: int
    kept: int
    added: int
    revised: int
    unchanged: int
    quarantined: dict[str, int]
    unsorted: int
    gaps: int
    gap_is: GapIs
    symbols: tuple[str, ...]
    absent: tuple[str, ...]
    version: str


@dataclass(frozen=True, kw_only=True)
class DeriveReport(IngestReport):
    """What came of a derivation: its ``rows_in`` are the records it made, and all that are kept are new.

    Parameters
    ----------
    up_to_date : tuple of str
        Symbols that were left alone because nothing has changed of what their records are made of.
    """

    up_to_date: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RecipeReport(IngestReport):
    """What came of every row of a recipe's source, and of what is derived of them.

    Parameters
    ----------
    derived : tuple of DeriveReport
        One a derivation of the recipe, in their order.
    """

    derived: tuple[DeriveReport, ...]
