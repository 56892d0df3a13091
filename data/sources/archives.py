"""Byte streams in plain and gzipped files and in zips of either, with errors that name the stream."""

from __future__ import annotations

import glob
import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from bellwether.errors import DataError

GZIP, ZIP = ".gz", ".zip"
UNREADABLE = (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile)


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A file, or a file in a zip.

    Parameters
    ----------
    path : Path
        The file or the zip.
    inner : str
        Name within the zip, with its folders; empty for a file of its own.
    """

    path: Path
    inner: str = ""

    @property
    def name(self) -> str:
        """What rows and errors call it.

        >>> Stream(path=Path("raw/days.zip"), inner="AMZN/day.csv").name
        'days.zip/AMZN/day.csv'
        """
        return f"{self.path.name}/{self.inner}" if self.inner else self.path.name

    @property
    def leaf(self) -> str:
        """Its own name, without the folders and the zip it is in."""
        return self.inner.rpartition("/")[2] or self.path.name

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Open it for reading, decompressed; what is read inside the ``with`` may raise the same.

        Raises
        ------
        DataError
            It is cut off, damaged or encrypted.
        """
        try:
            with ExitStack() as stack:
                file = stack.enter_context(self._stored(stack))
                yield cast(BinaryIO, stack.enter_context(gzip.open(file))) if self.leaf.lower().endswith(GZIP) else file
        except UNREADABLE as error:
            raise DataError(f"{self.name} cannot be read: {error or 'it is cut off'}; fetch it again") from error

    def _stored(self, stack: ExitStack) -> BinaryIO:
        if not self.inner:
            return self.path.open("rb")
        archive = stack.enter_context(zipfile.ZipFile(self.path))
        try:
            return cast(BinaryIO, archive.open(self.inner))
        except (RuntimeError, NotImplementedError) as error:  # encrypted, or a method this Python does not know
            raise DataError(f"{self.name} cannot be read: {error}; unpack it first") from error


def complete_lines(stream: Stream) -> Iterator[bytes | None]:
    """Yield the lines of a stream; those before the place where a gzip is cut off, and None for what was there.

    A line that the cut goes through is not yielded.

    Raises
    ------
    DataError
        It is damaged otherwise.
    """
    with stream.opened() as file:
        try:
            yield from file
        except EOFError:
            yield None


def streams(root: Path, patterns: Sequence[str], wanted: Callable[[str], bool], what: str) -> list[Stream]:
    """Return the streams that paths, globs, folders and zips name, in the order given, sorted within, none twice.

    Relative patterns are taken below ``root``. A folder stands for the files and zips in it, a zip for what is in it.

    Parameters
    ----------
    wanted : callable
        ``wanted(leaf)`` tells by its name whether a stream is of the kind looked for; others are passed over.
    what : str
        How errors call that kind.

    Raises
    ------
    DataError
        A pattern names nothing, or nothing of the kind; a zip cannot be read.
    """
    found: dict[Stream, None] = {}
    for pattern in patterns:
        path = root / pattern
        files = _files(path)
        if not files:
            raise DataError(
                f"no file matches {path}; relative paths are below {root} "
                "(those of a recipe below BELLWETHER_MARKET_DATA)"
            )
        of_kind = [s for file in files for s in _within(file) if not s.leaf.startswith(".") and wanted(s.leaf)]
        if not of_kind:
            raise DataError(f"{path} holds no {what}; it holds {', '.join(p.name for p in files[:5])}")
        found |= dict.fromkeys(of_kind)
    return list(found)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.is_file())
    return [path] if path.is_file() else [Path(name) for name in sorted(glob.glob(str(path)))]  # noqa: PTH207


def _within(path: Path) -> list[Stream]:
    if path.suffix.lower() != ZIP:
        return [Stream(path=path)]
    try:
        with zipfile.ZipFile(path) as archive:
            return [Stream(path=path, inner=i.filename) for i in archive.infolist() if not i.is_dir()]
    except zipfile.BadZipFile as error:
        raise DataError(f"{path.name} cannot be read: {error}; fetch it again") from error
