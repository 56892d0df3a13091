"""Training rows, and models that are kept as arrays."""

from __future__ import annotations

import io
import zipfile
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bellwether.errors import ModelError
from bellwether.models.bundle import Bundle
from bellwether.models.training import Task, plain


def rows(n: int = 20):
    return plain(np.arange(2.0 * n).reshape(n, 2), np.arange(n) % 3, classes=3)


@given(share=st.floats(0.05, 0.9), wait=st.integers(1, 5))
def test_the_tail_comes_after_all_outcomes_of_the_head(share, wait):
    training = replace(rows(), t1=rows().ts + wait)
    try:
        early, late = training.parted(share)
    except ModelError:
        assert round(share * 20) + wait > 20
        return
    assert early.t1.max() <= late.ts.min()
    assert len(late.ts) == max(1, round(share * 20))
    assert len(early.ts) == 20 - len(late.ts) - (wait - 1)


def test_rows_of_one_time_never_part():
    training = replace(rows(), ts=np.arange(20) // 4, t1=np.arange(20) // 4 + 1)
    early, late = training.parted(0.3)
    assert not set(early.ts) & set(late.ts)


def test_too_few_rows_to_stop_on_are_refused():
    with pytest.raises(ModelError, match="1 timestamps are too few to stop on the last 10%"):
        rows(1).parted(0.1)


@given(st.lists(st.floats(1e-6, 1e3), min_size=20, max_size=20), st.integers(1, 19))
def test_the_mean_weight_of_any_part_is_one_and_rows_keep_their_proportions(weights, split):
    training = replace(rows(), weight=np.array(weights))
    for part in (slice(0, split), slice(split, 20)):
        found = training.at(np.arange(20)[part]).weight
        assert found.mean() == pytest.approx(1.0)
        np.testing.assert_allclose(found / found[0], training.weight[part] / training.weight[part][0])


def test_a_task_is_what_y_says():
    assert rows().task is Task.CLASSIFY
    values = plain(np.zeros((4, 1)), np.zeros(4))
    assert (values.task, values.steps, values.y.shape) == (Task.REGRESS, 1, (4, 1))
    assert plain(np.zeros((4, 6)), np.zeros(4), lookback=3).names == ("0", "1")


NAMES = st.from_regex("[a-z]{1,8}", fullmatch=True).filter(lambda name: name != "facts")
ARRAYS = arrays(np.float64, st.integers(0, 5), elements=st.floats(allow_nan=True))


@given(st.dictionaries(NAMES, ARRAYS, max_size=4))
def test_a_bundle_is_read_back_as_it_was(content):
    read = Bundle.parse(Bundle(content, {"order": [1, 2], "name": "é"}).serialise())
    assert read.facts == {"order": [1, 2], "name": "é"}
    assert set(read.arrays) == set(content)
    for name, array in content.items():
        np.testing.assert_array_equal(read.arrays[name], array)


def test_a_bundle_holds_numbers_only():
    with pytest.raises(ModelError, match=r"that are not called facts: code"):
        Bundle({"code": np.array([print], object)}).serialise()
    with pytest.raises(ModelError, match="facts"):
        Bundle({"facts": np.zeros(1)}).serialise()


@pytest.mark.parametrize("name", ["file", "allow_pickle", "a.npy", "../a"])
def test_any_name_will_do_for_an_array(name):
    assert list(Bundle.parse(Bundle({name: np.zeros(1)}).serialise()).arrays) == [name]


def test_equal_bundles_are_equal_bytes():
    one, two = (Bundle({n: np.ones(2) for n in names}, dict.fromkeys(names, 1)) for names in ("ab", "ba"))
    assert one.serialise() == two.serialise()


GOOD = Bundle({"a": np.zeros(3)}, {"order": [1]}).serialise()


@pytest.mark.parametrize("damaged", [b"", b"junk", GOOD[:-30]])
def test_a_damaged_bundle_is_refused(damaged):
    with pytest.raises(ModelError, match="the bundle is damaged"):
        Bundle.parse(damaged)


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=3))
def test_whatever_bytes_are_changed_a_bundle_is_read_or_refused(changes):
    content = bytearray(GOOD)
    for place, value in changes:
        content[place] = value
    with suppress(ModelError):
        assert set(Bundle.parse(bytes(content)).arrays) <= {"a"} or b"a.npy" not in content


def stored(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, array)
    return out.getvalue()


def packed(members: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, content in ({"facts.npy": stored(np.frombuffer(b"{}", np.uint8))} | members).items():
            archive.writestr(name, content)
    return out.getvalue()


def facts(text: bytes) -> bytes:
    return packed({"facts.npy": stored(np.frombuffer(text, np.uint8))})


OUT_OF_PROPORTION = stored(np.zeros(1)).replace(b"(1,), }" + b" " * 12, b"(1099511627776,), }")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(packed({"a.npy": stored(np.zeros(10_000))}, zipfile.ZIP_DEFLATED), "is compressed", id="bomb"),
        pytest.param(packed({"a.npy": OUT_OF_PROPORTION}), "", id="more than there is"),
        pytest.param(packed({"a.npy": stored(np.array(["x"]))}), "not arrays of numbers: a", id="text"),
        pytest.param(packed({"a.npy": stored(np.zeros(1, [("x", "f8")]))}), "not arrays of numbers: a", id="records"),
        pytest.param(packed({"a.txt": b"hello"}), "not arrays of numbers: a.txt", id="no array"),
        pytest.param(packed({"a.npy": b"\x93NUMPY\x01\x00\x04\x00(((\n"}), "", id="no header"),
        pytest.param(facts(b'{"a": NaN}'), "a fact is NaN", id="NaN"),
        pytest.param(facts(b"[1]"), "its facts are not named", id="list"),
        pytest.param(facts(b"[" * 100_000), "recursion", id="deep"),
    ],
)
def test_what_a_bundle_never_holds_is_refused(content, why):
    with pytest.raises(ModelError, match=rf"the bundle is damaged \(.*{why}"):
        Bundle.parse(content)


def test_a_pickle_is_not_read():
    out = io.BytesIO()
    np.savez(out, facts=np.frombuffer(b"{}", np.uint8), evil=np.array([{}], object))
    with pytest.raises(ModelError, match="the bundle is damaged"):
        Bundle.parse(out.getvalue())
