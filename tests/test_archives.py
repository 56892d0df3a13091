"""Streams in plain and gzipped files and in zips of either."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from pathlib import Path

import pytest

from bellwether.errors import DataError
from data.sources.archives import Stream, complete_lines, streams

TEXT = b"one\ntwo\nthree\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "b.txt").write_bytes(TEXT)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(TEXT))
    (tmp_path / "readme.md").write_bytes(b"not wanted")
    (tmp_path / "inner").mkdir()
    with zipfile.ZipFile(tmp_path / "c.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("days/", b"")
        archive.writestr("days/d.txt", TEXT)
        archive.writestr("days/e.txt.gz", gzip.compress(TEXT))
        archive.writestr("__MACOSX/days/._d.txt", b"resource fork")
        archive.writestr("days/readme.md", b"not wanted")
    return tmp_path


def text(leaf: str) -> bool:
    return leaf.endswith((".txt", ".txt.gz"))


def found(root: Path, *patterns: str) -> list[Stream]:
    return streams(root, patterns, text, "text")


def test_a_folder_holds_its_files_and_what_is_in_its_zips(folder):
    names = [s.name for s in found(folder, ".")]
    assert names == ["a.txt.gz", "b.txt", "c.zip/days/d.txt", "c.zip/days/e.txt.gz"]
    assert [s.leaf for s in found(folder, ".")] == ["a.txt.gz", "b.txt", "d.txt", "e.txt.gz"]


def test_each_is_read_decompressed(folder):
    for stream in found(folder, "."):
        with stream.opened() as file:
            assert list(file) == [b"one\n", b"two\n", b"three\n"]


def test_paths_globs_and_zips_in_the_order_given_and_none_twice(folder):
    names = [s.name for s in found(folder, "c.zip", "b.txt", "*.txt*", str(folder / "b.txt"))]
    assert names == ["c.zip/days/d.txt", "c.zip/days/e.txt.gz", "b.txt", "a.txt.gz"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("nothing/*.txt", "no file matches .*nothing"),
        ("inner", "no file matches .*inner"),
        ("readme.md", r"readme\.md holds no text; it holds readme\.md"),
    ],
)
def test_a_pattern_that_names_nothing_says_so(folder, pattern, message):
    with pytest.raises(DataError, match=message):
        found(folder, pattern)


@pytest.mark.parametrize("keep", [10, 20, -8, -1])
def test_a_gzip_that_is_cut_off_names_the_file(tmp_path, keep):
    path = tmp_path / "cut.txt.gz"
    path.write_bytes(gzip.compress(TEXT)[:keep])
    with pytest.raises(DataError, match=r"cut\.txt\.gz cannot be read"), Stream(path=path).opened() as file:
        file.read()


@pytest.mark.parametrize("keep", range(1, 16))
def test_the_complete_lines_of_a_gzip_that_is_cut_off(tmp_path, keep):
    """As a recorder leaves it that flushes each line and is killed."""
    path = tmp_path / "cut.txt.gz"
    packer = zlib.compressobj(wbits=31)
    lines = [f"line {n}\n".encode() for n in range(20)]
    told = [packer.compress(line) + packer.flush(zlib.Z_SYNC_FLUSH) for line in lines]
    path.write_bytes(b"".join(told[:keep]))
    assert list(complete_lines(Stream(path=path))) == [*lines[:keep], None]
    path.write_bytes(b"".join(told[:keep]) + told[keep][:2])
    assert list(complete_lines(Stream(path=path))) == [*lines[:keep], None]


@pytest.mark.parametrize("keep", [2, 9, -8, -1])
def test_a_gzip_that_is_cut_off_anywhere_ends_with_nothing(tmp_path, keep):
    path = tmp_path / "cut.txt.gz"
    path.write_bytes(gzip.compress(TEXT)[:keep])
    assert list(complete_lines(Stream(path=path))) == [*([] if keep > 0 else TEXT.splitlines(keepends=True)), None]


def test_all_lines_of_a_stream_that_is_whole_and_none_of_one_that_is_damaged(folder):
    assert [list(complete_lines(s)) for s in found(folder, ".")] == [[b"one\n", b"two\n", b"three\n"]] * 4
    whole = (folder / "a.txt.gz").read_bytes()
    (folder / "a.txt.gz").write_bytes(whole[:-8] + b"\0" * 8)
    with pytest.raises(DataError, match=r"a\.txt\.gz cannot be read: CRC check failed"):
        list(complete_lines(found(folder, "a.txt.gz")[0]))


def test_what_is_no_gzip_names_the_file(tmp_path):
    path = tmp_path / "no.txt.gz"
    path.write_bytes(TEXT)
    with (
        pytest.raises(DataError, match=r"no\.txt\.gz cannot be read: Not a gzipped file"),
        Stream(path=path).opened() as f,
    ):
        f.read()


def test_a_zip_that_is_none_or_damaged_names_the_file(folder):
    (folder / "none.zip").write_bytes(TEXT)
    with pytest.raises(DataError, match=r"none\.zip cannot be read"):
        found(folder, "none.zip")
    whole = (folder / "c.zip").read_bytes()
    name = whole.index(b"days/d.txt") + len(b"days/d.txt")
    (folder / "c.zip").write_bytes(whole[:name] + bytes(b ^ 0xFF for b in whole[name : name + 10]) + whole[name + 10 :])
    spoilt = found(folder, "c.zip")[0]
    with pytest.raises(DataError, match=r"c\.zip/days/d\.txt cannot be read"), spoilt.opened() as file:
        file.read()
