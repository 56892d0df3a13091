"""Where a lake's bytes are: a local directory, or an object store behind ``pyarrow.fs``."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import fs


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file there is.

    Parameters
    ----------
    name : str
        Path below the root.
    size : int
        Bytes.
    changed : float or None
        When it was written or touched, seconds since 1970; None where the storage does not tell.
    """

    name: str
    size: int
    changed: float | None


class Storage:
    """Whole files below one root: written all at once or not at all.

    On a local file system a file is written under a temporary name, flushed to the disk and renamed, so a process
    that is killed at any instant leaves the old file or the new one. An object store makes an object visible when
    its upload is complete, which comes to the same.

    Parameters
    ----------
    uri : str
        A directory, or a URI that ``pyarrow.fs`` knows, such as ``s3://bucket/lake``.
    """

    def __init__(self, uri: str) -> None:
        found, root = fs.FileSystem.from_uri(uri) if "://" in uri else (fs.LocalFileSystem(), uri)
        self.root = root.rstrip("/")
        self.fs = found
        self.local = isinstance(found, fs.LocalFileSystem)

    def path(self, name: str) -> str:
        """Return the full path of a file below the root."""
        return f"{self.root}/{name}"

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, None where there is none."""
        try:
            with self.fs.open_input_file(self.path(name)) as stream:
                return bytes(stream.readall())
        except FileNotFoundError:
            return None

    def open(self, name: str) -> pa.NativeFile:
        """Open a file for reading at any position."""
        return self.fs.open_input_file(self.path(name))

    def write(self, name: str, content: bytes) -> None:
        """Put a whole file in place of whatever is there."""
        if self.local:
            replace_file(Path(self.path(name)), content)
            return
        with self._opened(self.path(name)) as stream:
            stream.write(content)

    def _opened(self, path: str) -> pa.NativeFile:
        """Open a file for writing, in a folder that is made where the storage wants one."""
        try:
            return self.fs.open_output_stream(path)
        except FileNotFoundError:
            self.fs.create_dir(path.rpartition("/")[0], recursive=True)
            return self.fs.open_output_stream(path)

    def put(self, name: str, content: bytes) -> None:
        """Write a file whose name says its content; one that is there already only becomes young again."""
        if not self.touch(name):
            self.write(name, content)

    def touch(self, name: str) -> bool:
        """Make a file as young as one written now, and tell whether that was done; an object store cannot."""
        with suppress(OSError):
            if self.local:
                os.utime(self.path(name))
                return True
        return False

    def remove(self, name: str) -> None:
        """Remove a file; one that is gone already is no error."""
        with suppress(FileNotFoundError):
            self.fs.delete_file(self.path(name))

    def files(self) -> Iterator[StoredFile]:
        """Yield every file below the root."""
        root = self.root.removeprefix("/")
        for info in self._list("", recursive=True):
            if info.type == fs.FileType.File:
                yield _stored(info, info.path.removeprefix("/").removeprefix(root).removeprefix("/"))

    def children(self, folder: str) -> Iterator[tuple[str, bool]]:
        """Yield what is directly in a folder below the root, ``""`` being the root: its name, and if it is a folder."""
        for info in self._list(folder):
            yield info.base_name, info.type == fs.FileType.Directory

    def _list(self, folder: str, *, recursive: bool = False) -> list[fs.FileInfo]:
        selector = fs.FileSelector(self.path(folder).rstrip("/"), allow_not_found=True, recursive=recursive)
        try:
            return self.fs.get_file_info(selector)
        except FileNotFoundError:  # a folder was made, or a draft renamed, just as it was looked at
            return self.fs.get_file_info(selector)

    def find(self, names: Iterable[str]) -> dict[str, StoredFile]:
        """Return which of these files there are, by name."""
        asked = list(names)
        found = zip(asked, self.fs.get_file_info([self.path(name) for name in asked]), strict=True)
        return {name: _stored(info, name) for name, info in found if info.type == fs.FileType.File}

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Keep other committers out, threads and processes alike.

        Local only: an object store has no lock, so there each kind may have one committer at a time.
        """
        if not self.local:
            yield
            return
        path = Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as held:
            fcntl.flock(held, fcntl.LOCK_EX)  # let go when the file is closed, so also when the process is killed
            yield


def replace_file(path: Path, content: bytes) -> None:
    """Put a whole local file in place of whatever is there, at one instant, and flush it to the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _stored(info: fs.FileInfo, name: str) -> StoredFile:
    changed = None if info.mtime_ns is None else info.mtime_ns / 1e9
    return StoredFile(name=name, size=info.size or 0, changed=changed)
