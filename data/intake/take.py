"""From a source into the lake, one kind of record: judged as a whole before anything of it is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bellwether.config.interval import nanoseconds
from bellwether.config.recipe import lake_kind
from bellwether.config.sections import Part, Session
from bellwether.errors import ConfigError, EmptySource
from data.intake.batch import Batch, Progress, no_progress
from data.intake.quality import refuse_crowded, refuse_starts, refuse_wrong_zone
from data.intake.report import IngestReport
from data.intake.spool import Spool
from data.lake import Lake
from data.options import checked
from data.records import record_kind
from data.sources import source
from data.sources.base import Source, SourceContext


@dataclass(frozen=True, kw_only=True)
class Intake:
    """What is to be taken in.

    Parameters
    ----------
    source : Part
        An entry of the source table, with its options.
    record : str
        Which of its record kinds.
    interval : str, optional
        Of bars and factors, and of books that are sampled.
    session : Session
        The market's hours.
    root : Path
        Relative paths of the options are below it.
    """

    source: Part
    record: str
    interval: str | None = None
    session: Session
    root: Path

    @property
    def kind(self) -> str:
        """Where the records go in the lake."""
        return lake_kind(self.record, self.interval)

    def opened(self) -> tuple[Source, Any]:
        """Return the source and its options, checked.

        Raises
        ------
        ConfigError
            There is no such source, it has no such records, they need an interval or have none, or an option is wrong.
        """
        found = source(self.source.kind)
        if self.record not in found.records:
            raise ConfigError(f"source {found.kind!r} has no {self.record}; it has: {', '.join(found.records)}")
        if self.record in ("bars", "factors") and not self.interval:
            raise ConfigError(f"{self.record} have an interval; say it, such as 1h or 1d")
        if self.record in ("ticks", "deltas") and self.interval:
            raise ConfigError(f"{self.record} are events and have no interval; leave {self.interval} out")
        if self.record == "books" and self.interval and self.record not in found.sampled:
            raise ConfigError(
                f"source {found.kind!r} has the book after every change, not one every {self.interval}: leave "
                f"{self.interval} out, and sample it in a recipe, by `derive: [{{kind: snapshots}}]`"
            )
        return found, checked(f"source {found.kind!r}", found.options, self.source.options)


def take(
    intake: Intake, lake: Lake, progress: Progress = no_progress, now: Callable[[], int] = time.time_ns
) -> IngestReport:
    """Read records from a source, screen them, and merge them into the lake.

    A record the lake has already is left alone, one that differs is revised; records the source no longer has stay.
    Of rows of one record that differ, the first stands within a batch, and the last across batches. Doing it again
    changes nothing, but for records that have become visible meanwhile. Everything is judged before the first file is
    written; then quarantine and records are committed, each at once. Memory holds a batch of the source, or one symbol
    (and date, of kinds that are kept by date).

    Each entry is noted with its source, and records of two sources are never merged.

    Parameters
    ----------
    progress : callable
        Told ``(stage, rows)`` as rows are "read", "screened" and "written": the number so far in that stage.
    now : callable
        The clock, UTC nanoseconds, asked once before the source is read.

    Raises
    ------
    ConfigError
        There is no such source, it has no such records, or an option is wrong.
    DataError
        The source cannot be read, bars are of another zone or stamped at their other end, or the lake has records of
        its symbols from another source. The lake is as it was. Or another process changed what these records were
        merged with; then nothing is written over it.
    """
    with judged(intake, lake, progress, now()) as batch:
        batch.refuse_others(batch.kept)
        return batch.report(lake, batch.write(lake, progress))


@contextmanager
def judged(intake: Intake, lake: Lake, progress: Progress, now: int) -> Iterator[Batch]:
    """Read and screen everything a source has, and merge it beside the lake; nothing of it is in the lake yet."""
    found, options = intake.opened()
    kind = record_kind(intake.record)
    with TemporaryDirectory(prefix="bellwether-ingest-") as folder:
        batch = Batch(
            record=kind,
            kind=intake.kind,
            timed=intake.interval is not None,
            interval_ns=nanoseconds(intake.interval) if intake.interval else 0,
            identity=found.named(options),
            before=lake.parts(intake.kind),
            session=intake.session,
            now=now,
            folder=Path(folder),
        )
        raw = Spool(Path(folder) / "raw", dated=kind.dated)
        for table in found.read(options, _context(intake)):
            batch.gather(raw, table, progress)
        if not batch.rows_in:
            raise EmptySource(f"source {found.kind!r} has no {intake.record}; correct its options")
        batch.judge_all(lake, raw, progress)
        refuse_crowded(batch.counts["crowded"], sum(batch.kept.values()))
        refuse_starts(batch.stamps)
        refuse_wrong_zone(batch.reasons["outside_session"], batch.rows_in)
        yield batch


def source_name(part: Part) -> str:
    """Return what tells the series of a source from others of the same symbols; the lake notes it.

    Raises
    ------
    ConfigError
        There is no such source, or an option is wrong.
    """
    found = source(part.kind)
    return found.named(checked(f"source {part.kind!r}", found.options, part.options))


def _context(intake: Intake) -> SourceContext:
    interval = nanoseconds(intake.interval) if intake.interval else 0
    return SourceContext(root=intake.root, session=intake.session, interval_ns=interval, record=intake.record)
