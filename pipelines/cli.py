"""The command line: ``bellwether``.

Exit codes: 0 done, 1 failed, 2 wrong use. Errors are one line; ``--debug`` anywhere adds the traceback.
Each command imports what it runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from bellwether.config import Settings
from bellwether.errors import BellwetherError, ConfigError
from pipelines.console import errors
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from data.lake.lake import Lake

app = typer.Typer(
    name="bellwether",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

lake_app = typer.Typer(no_args_is_help=True, help="Look after the lake: what it holds, small files, old files.")
app.add_typer(lake_app, name="lake")

keys_app = typer.Typer(no_args_is_help=True, help="API keys of the served apps; kept as hashes in BELLWETHER_KEYS.")
app.add_typer(keys_app, name="keys")

RecipeArg = Annotated[str, typer.Argument(help="Name of a bundled recipe, or the path of a YAML file.")]
LakeOpt = Annotated[str | None, typer.Option("--lake", help="Root of the lake: a directory or a URI.")]
TrackingOpt = Annotated[str | None, typer.Option("--tracking-uri", help="MLflow tracking store.")]
AliasOpt = Annotated[str, typer.Option("--alias", help="Staging or Production.")]
WhyOpt = Annotated[str, typer.Option("--why", help="Reason, kept in the ledger.")]
KindArg = Annotated[str | None, typer.Argument(help="Kind in the lake, such as ticks; every kind, if left out.")]
ReloadOpt = Annotated[str | None, typer.Option("--reload", help="Address of a served app to tell at once.")]
SymbolOpt = Annotated[
    str | None, typer.Option("--symbol", help="Whose own model is meant; the pooled one, if left out.")
]
UrlOpt = Annotated[str, typer.Option("--url", help="Address of the served app.")]


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")] = False,
) -> None:
    """Train predictors for the components of an index, serve them, and compose one signal."""
    # main() reads the option before Typer does, so that it may stand after the command too.


@app.command(
    epilog="Examples: [bold]bellwether ingest index-hourly[/bold], "
    "[bold]bellwether ingest lobster ../shared/data/lobster --record ticks[/bold], "
    "[bold]bellwether ingest ohlcv us_1h.parquet --interval 1h --set stamped=start --set 'columns={time: timestamp}'"
    "[/bold], [bold]bellwether ingest yahoo --interval 1d --set symbols=AAPL --set period=1y[/bold]"
)
def ingest(
    what: Annotated[str, typer.Argument(help="A recipe (a bundled name or a YAML file), or a source.")],
    paths: Annotated[
        list[str] | None, typer.Argument(help="Files, globs or folders of a source that has them.")
    ] = None,
    record: Annotated[
        list[str] | None, typer.Option(help="Only this record kind, such as ticks; may be repeated. All, if left out.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="An option of the source: name=value, in YAML; may be repeated.")
    ] = None,
    interval: Annotated[str | None, typer.Option(help="Of bars and factors, and sampled books: 5min, 1h, 1d.")] = None,
    timezone: Annotated[
        str | None, typer.Option(help="Zone of the session, and of times that name none; America/New_York.")
    ] = None,
    hours: Annotated[str | None, typer.Option(help="The session's hours; 09:30-16:00.")] = None,
    lake: LakeOpt = None,
) -> None:
    """Read sources into the lake, and say what was kept, quarantined and missing. Doing it twice changes nothing.

    A recipe says itself what it reads. A source is told: its files, and its options. Its records may come in any order
    and overlap with those that the lake has.
    """
    from pipelines import ingest as job

    asked = job.Asked(
        paths=paths or (),
        records=record or (),
        settings=settings or (),
        interval=interval,
        timezone=timezone,
        hours=hours,
    )
    if job.is_source(what, asked):
        job.run_source(what, asked, _lake(lake))
    else:
        job.run(Workspace.open(what, lake))


@app.command(epilog="Example: [bold]bellwether features index-hourly[/bold]")
def features(recipe: RecipeArg, lake: LakeOpt = None) -> None:
    """Make the features of every symbol in parallel; what has not changed is not made again."""
    from cluster.local import local_ray
    from pipelines import features as job

    job.run(Workspace.open(recipe, lake), cluster=local_ray)


@app.command(
    epilog="Examples: [bold]bellwether train index-hourly --trials 40[/bold], "
    "[bold]bellwether train index-hourly --families logistic,lightgbm[/bold], "
    "[bold]bellwether train index-hourly --resume 20260102T030405-1a2b[/bold]"
)
def train(
    recipe: RecipeArg,
    families: Annotated[str | None, typer.Option(help="Only these families, separated by commas.")] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Number of configurations to try.")] = None,
    time_budget: Annotated[float | None, typer.Option(min=1, help="Stop the sweep after so many seconds.")] = None,
    concurrent: Annotated[
        int | None, typer.Option(min=1, help="Trials at once; by default one a CPU that the cluster has now.")
    ] = None,
    optimize: Annotated[
        bool | None,
        typer.Option("--optimize/--defaults", help="Search parameters, or fit each family once with its defaults."),
    ] = None,
    resume: Annotated[
        str | None, typer.Option(help="Go on with this run: what it has registered is not made again.")
    ] = None,
    symbol: Annotated[
        str | None, typer.Option(help="Make the own model of this symbol alone, in a recipe that has those.")
    ] = None,
    lake: LakeOpt = None,
    tracking_uri: TrackingOpt = None,
) -> None:
    """Sweep the model families, judge the best against its baselines, and register it.

    With `serving.models: per_symbol` in the recipe, each symbol gets a model of its own after that, in the same way.
    `--resume` then goes on with the symbol the run was at, and those after it.
    """
    workspace = Workspace.open(recipe, lake, tracking_uri)
    from pipelines import train as job

    job.run(job.with_budget(workspace, families, trials, time_budget, concurrent, optimize), resume, symbol)


@app.command(epilog="Example: [bold]bellwether leaderboard index-hourly[/bold]")
def leaderboard(
    recipe: RecipeArg, version: int | None = None, symbol: SymbolOpt = None, tracking_uri: TrackingOpt = None
) -> None:
    """Show the leaderboard of the newest (or the given) version, and the versions there are."""
    workspace = _own(recipe, symbol, tracking_uri)
    from pipelines import leaderboard as job

    job.run(workspace, version)


@app.command(
    epilog="Examples: [bold]bellwether promote index-hourly 3 --why 'beats last month'[/bold], "
    "[bold]bellwether promote index-hourly --reload http://127.0.0.1:8000[/bold]"
)
def promote(
    recipe: RecipeArg,
    version: Annotated[int | None, typer.Argument(help="The newest that passed its gate, if left out.")] = None,
    alias: AliasOpt = "Production",
    why: WhyOpt = "passed its gate",
    reload: ReloadOpt = None,
    symbol: SymbolOpt = None,
    tracking_uri: TrackingOpt = None,
) -> None:
    """Let a version that passed its gate answer under an alias."""
    workspace = _own(recipe, symbol, tracking_uri)
    from pipelines import promote as job

    job.promote(workspace, version, alias, who=getpass.getuser(), why=why, reload=reload)


@app.command(epilog="Example: [bold]bellwether rollback index-hourly --why 'drifts'[/bold]")
def rollback(
    recipe: RecipeArg,
    alias: AliasOpt = "Production",
    why: WhyOpt = "rolled back",
    reload: ReloadOpt = None,
    symbol: SymbolOpt = None,
    tracking_uri: TrackingOpt = None,
) -> None:
    """Give an alias back to the version that held it before."""
    workspace = _own(recipe, symbol, tracking_uri)
    from pipelines import promote as job

    job.rollback(workspace, alias, who=getpass.getuser(), why=why, reload=reload)


@app.command(epilog="Example: [bold]bellwether serve index-hourly --port 8000[/bold]")
def serve(
    recipe: RecipeArg,
    host: Annotated[str, typer.Option(help="Address to listen on; loopback unless asked otherwise.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    alias: Annotated[
        str, typer.Option(help="Staging or Production; or newest, to look at a version its gate refused.")
    ] = "Production",
    canary: Annotated[float, typer.Option(min=0, max=1, help="Share of requests that Staging answers.")] = 0.0,
    shadow: Annotated[bool, typer.Option("--shadow", help="Staging predicts too, for the log only.")] = False,
    lake: LakeOpt = None,
    tracking_uri: TrackingOpt = None,
) -> None:
    """Serve the champion until interrupted."""
    workspace = Workspace.open(recipe, lake, tracking_uri)
    from pipelines import serve as job

    job.run(workspace, host=host, port=port, alias=alias, canary=canary, shadow=shadow)


@app.command(epilog="Example: [bold]bellwether signal index-hourly --url http://127.0.0.1:8000[/bold]")
def signal(
    recipe: RecipeArg,
    url: UrlOpt = "http://127.0.0.1:8000",
    picture: Annotated[Path | None, typer.Option(help="Draw the answer there too, as SVG.")] = None,
) -> None:
    """Ask the served app for the index signal and show its components."""
    workspace = Workspace.open(recipe)
    from pipelines import signal as job

    job.run(workspace, url, picture)


@app.command(epilog="Example: [bold]bellwether score index-hourly-qqq[/bold]")
def score(
    recipe: RecipeArg,
    version: Annotated[int | None, typer.Option(help="The newest version, if left out.")] = None,
    lake: LakeOpt = None,
    tracking_uri: TrackingOpt = None,
) -> None:
    """Score a version's index signal against what the index did next, over the untouched last segment."""
    workspace = Workspace.open(recipe, lake, tracking_uri)
    from pipelines import score as job

    job.run(workspace, version)


@app.command(epilog="Example: [bold]bellwether demo[/bold]")
def demo(
    recipe: Annotated[str, typer.Argument(help="Recipe to run from end to end.")] = "index-hourly",
    lake: LakeOpt = None,
    tracking_uri: TrackingOpt = None,
) -> None:
    """Run everything once: ingest, features, sweep, promotion, deployment, one query; then stop it all."""
    workspace = Workspace.open(recipe, lake, tracking_uri)
    from pipelines import demo as job

    job.run(workspace)


@app.command(
    epilog="Examples: [bold]bellwether sql 'select symbol, count(*) from ticks group by symbol'[/bold], "
    "[bold]bellwether sql 'from bars_1h' --csv > bars.csv[/bold]"
)
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT in DuckDB's SQL, or SHOW TABLES.")],
    csv: Annotated[bool, typer.Option("--csv", help="All rows as CSV on standard output.")] = False,
    rows: Annotated[int, typer.Option(min=1, help="Most rows to show as a table.")] = 40,
    lake: LakeOpt = None,
) -> None:
    """Ask the lake in SQL; nothing is changed.

    Each kind is a view: ticks, books, deltas, bars and factors (with a column interval; bars_1h is one interval), and
    quarantine_ticks, weights_qqq, features_qqq_1h_hourly: the kind's name with _ for every / and -. SHOW TABLES lists
    them, DESCRIBE shows their columns. Times and the column date are UTC. The table entries lists the lake's files.
    """
    from pipelines import sql as job

    job.run(_lake(lake), query, as_csv=csv, rows=rows)


@lake_app.command(epilog="Example: [bold]bellwether lake stats[/bold]")
def stats(lake: LakeOpt = None) -> None:
    """Show what the lake holds of each kind, what was quarantined, and what is out of use."""
    from pipelines import lake as job

    job.show_stats(_lake(lake))


@lake_app.command(epilog="Example: [bold]bellwether lake compact ticks[/bold]")
def compact(kind: KindArg = None, lake: LakeOpt = None) -> None:
    """Make one sorted file of the parts that streams have appended to each partition."""
    from pipelines import lake as job

    job.run_compact(_lake(lake), kind)


@lake_app.command(epilog="Example: [bold]bellwether lake vacuum --remove[/bold]")
def vacuum(
    kind: KindArg = None,
    hours: Annotated[float, typer.Option(min=0, help="Leave what was in use within so many hours.")] = 24.0,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove the files; without it they are only listed.")
    ] = False,
    lake: LakeOpt = None,
) -> None:
    """List, or remove, files that have been replaced and drafts of writers that were killed."""
    from pipelines import lake as job

    job.run_vacuum(_lake(lake), kind, hours=hours, remove=remove)


@lake_app.command(epilog="Example: [bold]bellwether lake views lake.duckdb && duckdb lake.duckdb[/bold]")
def views(
    path: Annotated[Path, typer.Argument(help="DuckDB file to write; one that is there is replaced.")],
    lake: LakeOpt = None,
) -> None:
    """Write a small DuckDB file with the views of `bellwether sql`, as the lake is now, for any DuckDB client."""
    from pipelines import lake as job

    job.run_views(_lake(lake), path)


@keys_app.command("add", epilog="Example: [bold]bellwether keys add desk --scopes read,write[/bold]")
def add_key(
    name: Annotated[str, typer.Argument(help="Whose key it is; stands in the access log.")],
    scopes: Annotated[
        str, typer.Option(help="What it may do, separated by commas: read (ask), write (post bars and ticks), admin.")
    ] = "read",
) -> None:
    """Make a key and show it this once. Apps that run accept it at once."""
    from pipelines import keys as job

    job.add(Settings().keys, name, scopes)


@keys_app.command("list", epilog="Example: [bold]bellwether keys list[/bold]")
def list_keys() -> None:
    """Show the keys there are, without the keys themselves."""
    from pipelines import keys as job

    job.show(Settings().keys)


@keys_app.command("remove", epilog="Example: [bold]bellwether keys remove desk[/bold]")
def remove_key(name: Annotated[str, typer.Argument(help="As the key was named.")]) -> None:
    """Remove a key. Apps that run refuse it at once."""
    from pipelines import keys as job

    job.remove(Settings().keys, name)


def _own(recipe: str, symbol: str | None, tracking_uri: str | None) -> Workspace:
    """The workspace of a recipe's pooled model, or of a symbol's own."""
    workspace = Workspace.open(recipe, None, tracking_uri)
    from pipelines.own_models import own

    return own(workspace, symbol)


def _lake(uri: str | None) -> Lake:
    """Open the lake that is asked for, or else the installation's."""
    from data.lake.lake import Lake

    return Lake((Settings(lake=uri) if uri else Settings()).lake)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    try:
        app(args=[a for a in arguments if a != "--debug"], prog_name="bellwether")
    except Exception as error:
        if debug:
            raise
        kind = "" if isinstance(error, BellwetherError) else f"{type(error).__name__}: "
        hint = "" if isinstance(error, BellwetherError) else " (--debug shows where)"
        text = " ".join(str(error).split())
        errors.print(f"[red]error:[/red] {escape(kind + text + hint)}", soft_wrap=True)
        sys.exit(2 if isinstance(error, ConfigError) else 1)


if __name__ == "__main__":
    main()
