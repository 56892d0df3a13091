"""Where a lake's bytes are: a local directory, or an object store behind ``pyarrow.fs``."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from pyarrow import fs


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

    def exists(self, name: str) -> bool:
        """Tell whether there is such a file."""
        return self.fs.get_file_info(self.path(name)).type == fs.FileType.File

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
            _replace(Path(self.path(name)), content)
            return
        with self.fs.open_output_stream(self.path(name)) as stream:
            stream.write(content)

    def names(self, last: str) -> Iterator[str]:
        """Yield the files called ``last`` in any folder below the root."""
        found = self.fs.get_file_info(fs.FileSelector(self.root, allow_not_found=True, recursive=True))
        for info in found:
            if info.base_name == last:
                yield info.path.removeprefix("/").removeprefix(self.root.removeprefix("/")).removeprefix("/")

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


def _replace(path: Path, content: bytes) -> None:
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
