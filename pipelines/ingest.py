"""Read sources into the lake: ``python -m pipelines.ingest RECIPE``, or ``SOURCE PATH``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError
from rich.markup import escape

from bellwether.config.recipe import RECIPES
from bellwether.config.sections import Part, Session
from bellwether.errors import ConfigError, DataError, UnknownName
from data.intake.ingest import ingest
from data.intake.report import DeriveReport, IngestReport, RecipeReport
from data.intake.take import Intake, take
from data.sources import SOURCES, source
from pipelines.console import progress, say
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from data.lake.lake import Lake
    from data.sources.base import Source

GAPS = {
    "missing interval": "gaps (times that others have)",
    "break in the numbering": "gaps (breaks in the feed's numbering)",
    "silence": "gaps (silences of over 5 minutes)",
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the command line says about a source.

    Parameters
    ----------
    paths : sequence of str
        Files, globs and folders, relative to the working directory.
    records : sequence of str
        Record kinds; without any, every one the source has.
    settings : sequence of str
        The source's options as ``name=value``, the value in YAML.
    interval : str, optional
        Of bars and factors, and of books that the source has by the interval.
    timezone, hours : str, optional
        Zone and hours of the session, such as ``09:30-16:00``. The zone is also that of times that name none, unless
        the source's options say another.
    """

    paths: Sequence[str] = ()
    records: Sequence[str] = ()
    settings: Sequence[str] = ()
    interval: str | None = None
    timezone: str | None = None
    hours: str | None = None

    @property
    def named(self) -> list[str]:
        """What was said at all, as the command line calls it."""
        said = {
            "PATHS": self.paths,
            "--record": self.records,
            "--set": self.settings,
            "--interval": self.interval,
            "--timezone": self.timezone,
            "--hours": self.hours,
        }
        return [name for name, value in said.items() if value]


def run(workspace: Workspace) -> RecipeReport:
    """Ingest what a recipe reads, and report what came of every row."""
    with progress("ingest") as advance:
        report = ingest(
            workspace.recipe,
            workspace.lake,
            workspace.settings.market_data,
            lambda stage, rows: advance(rows, 0, f"{stage} rows"),
        )
    tell(report)
    for derived in report.derived:
        tell(derived)
    return report


def run_source(kind: str, asked: Asked, lake: Lake) -> list[IngestReport]:
    """Ingest what a source of the table has, one record kind after the other, and report what came of every row.

    Raises
    ------
    ConfigError
        An option is wrong, or what was asked for does not fit the source.
    """
    return [_take(intake, lake) for intake in list(intakes(source(kind), asked))]  # all are checked before the first


def _take(intake: Intake, lake: Lake) -> IngestReport:
    with progress("ingest") as advance:
        report = take(intake, lake, lambda stage, rows: advance(rows, 0, f"{stage} {intake.record} rows"))
    tell(report)
    if not report.kept:
        raise DataError(
            f"none of {report.rows_in:,} rows is one of {intake.record}; they are in quarantine: look at the files, "
            "the source and its options"
        )
    return report


def is_source(what: str, asked: Asked) -> bool:
    """Tell whether a source is meant, or a recipe.

    Raises
    ------
    ConfigError
        It is neither, or what else was said does not fit it.
    """
    if what in SOURCES:
        return True
    recipe = what.endswith((".yaml", ".yml")) or (RECIPES / f"{what}.yaml").is_file()
    if recipe and asked.named:
        raise ConfigError(
            f"{what} is a recipe, which says itself what it reads: leave {', '.join(asked.named)} out, "
            f"or name a source: {', '.join(sorted(SOURCES))}"
        )
    if not recipe:
        recipes = [path.stem for path in RECIPES.glob("*.yaml")]
        raise (
            UnknownName("source", what, SOURCES)
            if asked.named
            else UnknownName("recipe or source", what, [*recipes, *SOURCES])
        )
    return False


def intakes(found: Source, asked: Asked) -> Iterator[Intake]:
    """Say what is to be taken in, one record kind after the other."""
    options = _options(found, asked)
    records = asked.records or found.records
    interval = _interval(asked.interval)
    timed = [record for record in records if record in ("bars", "factors", *found.sampled)]
    for record in records:
        intake = Intake(
            source=Part(kind=found.kind, options=options),
            record=record,
            interval=interval if record in timed or not timed else None,
            session=_session(asked),
            root=Path.cwd(),
        )
        intake.opened()
        yield intake


def tell(report: IngestReport) -> None:
    """Print what came of every row."""
    done = "derive" if isinstance(report, DeriveReport) else "ingest"
    rows = "rows made" if isinstance(report, DeriveReport) else "rows in"
    say(
        f"[bold]{done}[/bold] {report.kind}: {report.rows_in:,} {rows}, {report.kept:,} kept "
        f"({report.added:,} new, {report.revised:,} revised, {report.unchanged:,} unchanged), "
        f"{sum(report.quarantined.values()):,} quarantined, {report.gaps:,} {GAPS[report.gap_is]}, "
        f"{len(report.symbols)} symbol{'' if len(report.symbols) == 1 else 's'}"
    )
    for reason, count in sorted(report.quarantined.items()):
        say(f"  quarantined {count:,}: {escape(reason)}")
    if report.absent:
        say(f"  no new {report.kind.split('/')[0]} of {escape(', '.join(report.absent))}: the lake's earlier ones stay")
    if isinstance(report, DeriveReport) and report.up_to_date:
        say(f"  up to date: {len(report.up_to_date)} symbols")


def _options(found: Source, asked: Asked) -> dict[str, Any]:
    options = dict(map(_setting, asked.settings))
    zone = found.options.model_fields.get("timezone")
    if asked.timezone and zone is not None and zone.default is None:  # of times that name none
        options.setdefault("timezone", asked.timezone)
    reads_files = {"path", "paths"} <= found.options.model_fields.keys()
    if asked.paths and not reads_files:
        raise ConfigError(f"source {found.kind!r} reads no files: leave {' '.join(asked.paths)} out")
    if asked.paths:
        paths = [str(Path(path).expanduser().absolute()) for path in asked.paths]
        return options | {"paths": paths}
    if reads_files and not {"path", "paths"} & options.keys():
        raise ConfigError(f"{found.kind} is a source: say which files, as in bellwether ingest {found.kind} PATH")
    return options


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    try:
        if name and equals:
            return name.strip(), yaml.safe_load(value)
        problem = "there is no ="
    except yaml.YAMLError as error:
        problem = str(error)
    raise ConfigError(f"--set {text!r}: write name=value, the value in YAML, e.g. --set stamped=start: {problem}")


def _interval(text: str | None) -> str | None:
    if text is not None and not re.fullmatch(r"[1-9]\d*(s|min|h|d)", text):
        raise ConfigError(f"--interval {text!r}: write a number and s, min, h or d, e.g. 1h")
    return text


def _session(asked: Asked) -> Session:
    given: dict[str, Any] = {"timezone": asked.timezone} if asked.timezone else {}
    try:
        if asked.hours:
            opens, closes = (time.fromisoformat(clock.strip()) for clock in asked.hours.split("-"))
            given |= {"opens": opens, "closes": closes}
        return Session(**given)
    except ValidationError as error:
        raise ConfigError("; ".join(str(problem["msg"]) for problem in error.errors())) from error
    except ValueError as error:
        raise ConfigError(f"--hours {asked.hours!r}: write two times of day, e.g. 09:30-16:00") from error


if __name__ == "__main__":
    from pipelines.cli import main

    main(["ingest", *sys.argv[1:]])
