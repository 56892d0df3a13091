"""The ledger only grows; what was written in it cannot be changed without being noticed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwether.errors import ConfigError, RegistryError
from bellwether.registry import Entry, Ledger
from bellwether.registry.trail import told, trail

ROOT = Path(__file__).resolve().parents[1]


def entry(version: int | None = 1, action: str = "promote", **changes: object) -> Entry:
    fields = {
        "ts": datetime(2025, 6, 1, 12, 0, 0, 5, tzinfo=UTC), "who": "ada", "action": action, "name": "index-hourly",
        "alias": "Production", "version": version, "previous": None, "why": "better", "gate": {"lift": 0.1 + 0.2},
        "store": "here",
    }  # fmt: skip
    return Entry.model_validate(fields | changes)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(str(tmp_path / "below" / "promotions.jsonl"))


def filled(ledger: Ledger, lines: int = 4) -> list[bytes]:
    for version in range(1, lines + 1):
        ledger.append(entry(version))
    return ledger.path.read_bytes().splitlines()


def test_what_is_appended_is_read_in_order(ledger):
    assert ledger.entries() == ()
    lines = (entry(1), entry(2, who="Łukasz\n\u2028", previous=1), entry(None, "settle", gate={}))
    for line in lines:
        ledger.append(line)
    assert ledger.entries() == lines


def test_a_line_carries_the_sha256_of_the_line_before(ledger):
    lines = filled(ledger)
    follows = [json.loads(line)["follows"] for line in lines]
    assert follows == ["0" * 64, *(hashlib.sha256(line).hexdigest() for line in lines[:-1])]


def test_a_line_is_on_disk_before_append_returns(ledger, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    ledger.append(entry())
    assert synced[0] == ledger.path.stat().st_size > 0


def test_a_writer_sees_all_lines_and_its_own(ledger):
    ledger.append(entry(1))
    with ledger.writing() as book:
        assert book.entries == (entry(1),)
        book.append(entry(2))
        assert book.entries == (entry(1), entry(2))
    assert ledger.entries() == (entry(1), entry(2))


@given(line=st.integers(0, 2), at=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_any_changed_byte_before_the_last_line_is_found(tmp_path_factory, line, at, flip):
    ledger = Ledger(str(tmp_path_factory.mktemp("ledger") / "l.jsonl"))
    lines = [bytearray(text) for text in filled(ledger)]
    lines[line][int(at * len(lines[line]))] ^= flip
    ledger.path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(RegistryError, match=rf"line ({line + 1}|{line + 2}) "):
        ledger.entries()


def test_a_changed_line_is_named_and_nothing_is_added_to_it(ledger):
    lines = filled(ledger)
    lines[1] = lines[1].replace(b"ada", b"eve")
    broken = b"\n".join(lines) + b"\n"
    ledger.path.write_bytes(broken)
    for attempt in (ledger.entries, lambda: ledger.append(entry(9))):
        with pytest.raises(RegistryError, match="line 3 does not follow what is before it: line 2 was changed"):
            attempt()
    assert ledger.path.read_bytes() == broken


@pytest.mark.parametrize(("kept", "broken"), [((1, 2, 3), 1), ((0, 2, 3), 2), ((0, 2, 1, 3), 2), ((0, 0, 1, 2), 2)])
def test_removed_moved_and_repeated_lines_are_found(ledger, kept, broken):
    lines = filled(ledger)
    ledger.path.write_bytes(b"".join(lines[i] + b"\n" for i in kept))
    with pytest.raises(RegistryError, match=f"line {broken} does not follow"):
        ledger.entries()


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_torn_last_line_is_reported_with_the_command_that_removes_it(ledger, cut):
    filled(ledger)
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole[:-cut])
    for attempt in (ledger.entries, lambda: ledger.append(entry(9))):
        with pytest.raises(RegistryError, match="line 4 is incomplete: a crash") as raised:
            attempt()
    command = str(raised.value).split("`")[1]
    subprocess.run(command, shell=True, check=True)
    assert ledger.entries() == tuple(entry(v) for v in (1, 2, 3))
    ledger.append(entry(4))
    assert ledger.path.read_bytes() == whole


def test_processes_that_append_at_once_wait_for_each_other(ledger):
    code = (
        "import sys; from bellwether.registry import Entry, Ledger; "
        "[Ledger(sys.argv[1]).append(Entry.model_validate_json(sys.argv[2])) for _ in range(20)]"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(ledger.path), entry(v).model_dump_json()], cwd=ROOT)
        for v in (1, 2, 3)
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    versions = [line.version for line in ledger.entries()]
    assert sorted(v for v in versions if v) == [1] * 20 + [2] * 20 + [3] * 20


def test_an_object_store_cannot_hold_the_ledger():
    with pytest.raises(ConfigError, match="must be a file, got 's3://bucket/ledger'"):
        Ledger("s3://bucket/ledger")


steps = st.lists(st.tuples(st.booleans(), st.integers(1, 5)), max_size=12)


@given(steps=steps)
def test_the_trail_is_a_stack_of_promotions(steps):
    stack: list[int] = []
    lines = []
    for forward, version in steps:
        if forward and version not in stack[-1:]:
            stack.append(version)
            lines.append(entry(version))
        elif not forward and len(stack) > 1:
            stack.pop()
            lines.append(entry(stack[-1], "rollback"))
        lines.append(entry(99, alias="Staging"))
        lines.append(entry(98, name="other"))
        lines.append(entry(97, store="elsewhere"))
    assert trail(lines, "here", "index-hourly", "Production") == tuple(stack)
    assert told(lines, "here", "index-hourly", "Production") == (stack[-1] if stack else None)


def test_settling_undoes_an_unfinished_move_and_takes_a_foreign_one():
    one_two = [entry(1), entry(2)]
    unfinished_promotion = [*one_two, entry(1, "settle")]
    unfinished_rollback = [*one_two, entry(1, "rollback"), entry(2, "settle")]
    elsewhere = [*one_two, entry(7, "settle")]
    removed = [*one_two, entry(None, "settle")]
    held = [
        trail(x, "here", "index-hourly", "Production")
        for x in (unfinished_promotion, unfinished_rollback, elsewhere, removed)
    ]
    assert held == [(1,), (1, 2), (1, 2, 7), ()]
