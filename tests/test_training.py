"""Training rows, and models that are kept as arrays."""

from __future__ import annotations

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


@pytest.mark.parametrize("damaged", [b"", b"junk", Bundle({"a": np.zeros(3)}).serialise()[:-30]])
def test_a_damaged_bundle_is_refused(damaged):
    with pytest.raises(ModelError, match="the bundle is damaged"):
        Bundle.parse(damaged)


def test_a_pickle_is_not_read():
    import io

    out = io.BytesIO()
    np.savez(out, facts=np.frombuffer(b"{}", np.uint8), evil=np.array([{}], object))
    with pytest.raises(ModelError, match="the bundle is damaged"):
        Bundle.parse(out.getvalue())
