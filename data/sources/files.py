"""Finding tabular files and reading them in batches, with errors that name the file."""

from __future__ import annotations

import glob
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
from pydantic import model_validator

from bellwether.config.frozen import Frozen
from bellwether.errors import ConfigError, DataError, EmptySource
from data.arrow import Column, pc

logger = logging.getLogger(__name__)

BATCH = 65_536
CELLS = 1 << 20
"""Cells a batch of a Parquet file has at most; those of a CSV file are cut by bytes."""

BLOCK = 1 << 20
CSV = (".csv", ".csv.gz", ".csv.zst")
PARQUET = (".parquet", ".pq")
NO_VALUE = pa.array(["NA", "N/A", "null", "NULL", "None"])
NUMBER = r"^[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|(?i:inf|infinity|nan))$"


class Files(Frozen):
    """What every source of files asks for: where they are.

    Parameters
    ----------
    path, paths : str, or tuple of str
        One of the two: a file, a glob or a folder, or several, all of the same form. Relative ones are below the
        folder of market data.

    >>> Files(path="bars.csv").patterns, Files(paths=("a.csv", "b")).patterns
    (('bars.csv',), ('a.csv', 'b'))
    """

    path: str = ""
    paths: str | tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if bool(self.path) == bool(self.paths):
            raise ValueError("give either `path` or `paths`")
        return self

    @property
    def patterns(self) -> tuple[str, ...]:
        """Every path, glob and folder given."""
        given = self.path or self.paths
        return (given,) if isinstance(given, str) else given


def find(root: Path, patterns: Sequence[str]) -> list[Path]:
    """Return the files that paths, globs and folders name, in the order given, sorted within each, none twice.

    Relative patterns are taken below ``root``. A folder stands for the CSV and Parquet files in it.

    Raises
    ------
    DataError
        A pattern names no file.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = root / pattern
        if path.is_dir():
            names = sorted(p for p in path.iterdir() if p.name.lower().endswith(CSV + PARQUET))
        else:
            names = [path] if path.is_file() else [Path(name) for name in sorted(glob.glob(str(path)))]  # noqa: PTH207
        if not names:
            raise DataError(
                f"no file matches {path}; relative paths are below {root} "
                "(those of a recipe below BELLWETHER_MARKET_DATA)"
            )
        found |= dict.fromkeys(names)
    return list(found)


def each(root: Path, patterns: Sequence[str], read: Callable[[Path], Iterator[pa.Table]]) -> Iterator[pa.Table]:
    """Yield what ``read`` yields of every file; one without records is passed over, and told in the log.

    Raises
    ------
    DataError
        A pattern names no file.
    EmptySource
        No file has records.
    """
    empty: dict[Path, EmptySource] = {}
    some = False
    for path in find(root, patterns):
        try:
            for table in read(path):
                some = True
                yield table
        except EmptySource as error:
            empty[path] = error
    if empty and not some:
        raise next(iter(empty.values()))
    for path in empty:
        logger.warning("%s has no records; the other files were read", path)


def origin(path: Path, root: Path) -> str:
    """Return what rows call the file they are from: its path below ``root``, or its name where it is elsewhere.

    >>> origin(Path("/data/a/x.csv"), Path("/data")), origin(Path("/data/x.csv"), Path("/home"))
    ('a/x.csv', 'x.csv')
    """
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def stem(path: Path) -> str:
    """Return a file's name without its ending, unquoted.

    >>> stem(Path("bars/%5ENDX.csv.gz")), stem(Path("BRK.B.parquet"))
    ('^NDX', 'BRK.B')
    """
    ending = next((e for e in CSV + PARQUET if path.name.lower().endswith(e)), "")
    return unquote(path.name[: len(path.name) - len(ending)])


def names_of(path: Path) -> list[str]:
    """Return a file's column names.

    Raises
    ------
    EmptySource
        The file is empty.
    DataError
        It cannot be read, or has a name twice.
    """
    with _named(path):
        if is_csv(path):
            with csv.open_csv(path) as reader:
                names = list(reader.schema.names)
        else:
            names = list(pq.read_schema(path).names)
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise DataError(f"{path.name} has more than one column called {', '.join(twice)}; rename them")
    return names


def batches(path: Path, columns: Sequence[str], *, block: int = BLOCK) -> Iterator[pa.RecordBatch]:
    """Yield some columns of a file, a batch of rows at a time.

    The cells of a CSV file are text, None where there is nothing; what they mean is for the caller to find out,
    cell by cell, so that one bad cell does not cost the file. Parquet columns have their own types.

    Parameters
    ----------
    block : int
        Bytes of a CSV file that make a batch; a row must fit.

    Raises
    ------
    EmptySource
        The file has no records.
    DataError
        It cannot be read, for example because a record has too few cells, or its end is missing.
    """
    rows = 0
    with _named(path):
        for batch in _csv(path, columns, block) if is_csv(path) else _parquet(path, columns):
            rows += batch.num_rows
            yield batch
    if not rows:
        raise EmptySource(f"{path.name} has no records; put the right file there or leave it out of the recipe")


def numbers(column: Column) -> Column:
    """Return numbers: null where nothing or NA stands, NaN for text that is no number.

    >>> numbers(pa.array(["1.5", " 2 ", "NA", None, "1O"])).to_pylist()
    [1.5, 2.0, None, None, nan]
    """
    if not pa.types.is_string(column.type):
        return column.cast(pa.float64(), safe=False)
    trimmed = pc.utf8_trim_whitespace(column)
    known = pc.if_else(pc.is_in(trimmed, value_set=NO_VALUE), pa.scalar(None, pa.string()), trimmed)
    return pc.if_else(pc.match_substring_regex(known, NUMBER), known, "nan").cast(pa.float64())


def text(column: Column) -> Column:
    """Return text without blanks around it, null where nothing is left."""
    trimmed = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def is_csv(path: Path) -> bool:
    """Tell CSV from Parquet by the file's ending.

    Raises
    ------
    ConfigError
        It is neither.
    """
    if path.name.lower().endswith(CSV):
        return True
    if path.name.lower().endswith(PARQUET):
        return False
    raise ConfigError(
        f"{path.name} is neither CSV nor Parquet by its ending; known endings: {', '.join(CSV + PARQUET)}"
    )


def _csv(path: Path, columns: Sequence[str], block: int) -> Iterator[pa.RecordBatch]:
    convert = csv.ConvertOptions(
        column_types={name: pa.string() for name in columns},
        include_columns=list(columns),
        null_values=[""],
        strings_can_be_null=True,
    )
    options = csv.ReadOptions(use_threads=False, block_size=block)  # one thread: only then an error knows its row
    with csv.open_csv(path, read_options=options, convert_options=convert) as reader:
        yield from reader


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    rows = min(BATCH, max(CELLS // len(columns), 1))
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(rows, columns=list(columns)):
            yield pa.RecordBatch.from_arrays([_plain(c) for c in batch.columns], names=batch.schema.names)


def _plain(column: Column) -> Column:
    """Text and dictionaries of text come in several types; here there is one."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return column.cast(pa.string()) if is_text else column.cast(kind)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Say which file it is that Arrow cannot read."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:  # damage shows as either
        if "Empty CSV file" in str(error):
            raise EmptySource(
                f"{path.name} is empty; put the right file there or leave it out of the recipe"
            ) from error
        raise DataError(f"{path.name} cannot be read: {error}") from error
