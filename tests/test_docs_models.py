"""The page on models lists what there is."""

from __future__ import annotations

import re
from pathlib import Path

from bellwether.models import family, family_names
from bellwether.models.base import Task

PAGE = Path(__file__).resolve().parents[1] / "docs" / "models.md"


def test_the_page_lists_every_family_with_what_it_can_do():
    rows = re.findall(r"^\| `(\w+)` \| (\S*) ?\| (\S*) ?\| ([^|]*)\| ([^|]*)\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert [name for name, *_ in rows if name in family_names()] == [name for name, *_ in rows][: len(family_names())]
    found = {name: (classes, values, reads, what) for name, classes, values, reads, what in rows}
    assert set(found) >= set(family_names())
    for name in family_names():
        kind = family(name)
        mark = "base" if kind.baseline else "✓"
        classes, values, reads, what = found[name]
        assert (classes == mark) == (Task.CLASSIFY in kind.tasks), name
        assert (values == mark) == (Task.REGRESS in kind.tasks), name
        assert kind.reads.value in reads or not reads.strip(), name
        assert ("(steps)" in what) == (kind.steps and Task.REGRESS in kind.tasks), name
