"""What is served follows the lake: never newer data under an older stamp, and never late for ever."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from bellwether.errors import DataError
from serve_apps.following import TRIES, Following
from serve_apps.on_demand import OnDemand


def written_while_read(lake: dict[str, str], *changes: str):
    """Something that follows ``lake["now"]``, which each making finds changed once more, until ``changes`` run out."""
    left = iter(changes)

    def make(stamp):
        if change := next(left, None):
            lake["now"] = change
        return f"made under {stamp} of {lake['now']}"

    return Following(lambda: lake["now"], make)


class Busy:
    """A lake that is written whenever it is read, and what follows it: its value is a stamp and what was read."""

    def __init__(self) -> None:
        self.now, self.still = 0, False
        self.made = 0

    def version(self) -> str:
        return str(self.now)

    def make(self, stamp: str) -> tuple[str, int]:
        self.made += 1
        self.now += not self.still
        return stamp, self.now


# --- versions and stamps -----------------------------------------------------------------------------


def test_newer_data_is_never_published_under_an_older_version():
    lake = {"now": "1"}
    assert written_while_read(lake, "2", "3").value == "made under 3 of 3"
    followed = written_while_read(lake, "3", "5", "6")
    assert followed.value == "made under 3 of 3"
    lake["now"] = "4"
    assert followed.refresh()
    assert followed.value == "made under 6 of 6"
    assert not followed.refresh()


def test_under_steady_writing_it_starts_and_each_look_brings_newer_data():
    lake = Busy()
    followed = Following(lake.version, lake.make)
    seen = [followed.value]
    for _ in range(3):
        assert followed.refresh()
        seen.append(followed.value)
    data = [now for _, now in seen]
    assert data == sorted(set(data))
    assert lake.made == 4 * (TRIES + 1)


def test_what_was_made_while_the_lake_changed_has_a_stamp_that_nothing_else_has():
    lake = Busy()
    one, other = Following(lake.version, lake.make), Following(lake.version, lake.make)
    stamps = [one.value[0], other.value[0]]
    lake.now = 0  # as if the same versions came again
    stamps += [Following(lake.version, lake.make).value[0]]
    assert len(set(stamps)) == 3
    assert all("~" in stamp for stamp in stamps)  # no version is like that


def test_when_the_writing_ends_it_is_made_once_more_under_its_version():
    lake = Busy()
    followed = Following(lake.version, lake.make)
    lake.still = True
    assert followed.refresh()
    assert followed.value == (lake.version(), lake.now)
    assert not followed.refresh()


def test_who_asks_under_steady_writing_is_answered():
    lake = Busy()
    wanted = OnDemand(lake.version, lake.make)

    async def twice():
        return await wanted.get(), await wanted.get()

    (first, before), (second, after) = asyncio.run(twice())
    assert before < after
    assert first != second


def test_what_lacks_something_is_made_again_though_nothing_has_changed():
    made = iter([["a"], ["a"], ["a", "b"], []])
    followed = Following(lambda: "one", lambda _: next(made), lambda value: len(value) == 2)
    assert [followed.refresh() for _ in range(3)] == [True, True, False]
    assert followed.value == ["a", "b"]


# --- looking every so often --------------------------------------------------------------------------


def test_a_lake_that_cannot_be_read_is_reported_and_the_last_good_state_goes_on():
    good = iter(["one", "one", "one", DataError("torn"), "two"])

    def version():
        found = next(good, "two")
        if isinstance(found, DataError):
            raise found
        return found

    async def use():
        followed = Following(version, str.upper)
        task = asyncio.create_task(followed.follow(0.005))
        seen = []
        while followed.value != "TWO":
            await asyncio.sleep(0.001)
            if not seen or seen[-1] != (followed.value, followed.error):
                seen.append((followed.value, followed.error))
        task.cancel()
        return seen

    assert ("ONE", "DataError: torn") in asyncio.run(asyncio.wait_for(use(), 10))


@pytest.mark.parametrize("ended", ["threads", "loop"])
def test_it_ends_quietly_where_there_are_no_threads_to_look_in_any_more(ended, caplog):
    async def use():
        followed, loop, threads = Following(lambda: "a", str.upper), asyncio.get_running_loop(), ThreadPoolExecutor(1)
        loop.set_default_executor(threads)
        if ended == "threads":
            threads.shutdown()
        else:
            await loop.shutdown_default_executor()
        await asyncio.wait_for(followed.follow(0.001), 10)
        return followed.error

    assert asyncio.run(use()) is None
    assert caplog.records == []


class Refusing(ThreadPoolExecutor):
    """Threads that cannot be had the first time."""

    left = 1

    def submit(self, *given, **more):
        if self.left:
            self.left -= 1
            raise RuntimeError("can't start new thread")
        return super().submit(*given, **more)


def test_any_other_reason_not_to_look_is_told_and_it_looks_again(caplog):
    versions = iter(["a", "a", RuntimeError("cannot schedule new futures after shutdown"), "b", "b"])

    def version():
        found = next(versions, "b")
        if isinstance(found, Exception):
            raise found
        return found

    async def use():
        followed = Following(version, str.upper)
        asyncio.get_running_loop().set_default_executor(Refusing(1))
        task = asyncio.create_task(followed.follow(0.001))
        while followed.value != "B" or followed.error:
            await asyncio.sleep(0.001)
        task.cancel()

    asyncio.run(asyncio.wait_for(use(), 10))
    told = [str(record.exc_info[1]) for record in caplog.records]
    assert told == ["can't start new thread", "cannot schedule new futures after shutdown"]
