"""How an event changes an order book of price levels, and what it says about those nobody has told of.

Each side keeps an ``edge``, down to which it is complete: a level there that is not held does not exist. Below it
there may be levels nobody has told of; those that are written out are the levels down to the edge.

A feed that shows ``depth`` levels a side tells of an event only if its price is among the best ``depth`` at that
moment. So each side also keeps its ``reach``, a price at which every event is told of, and a bound on how many levels
are ``before`` it, below ``depth``. From this follows what messages determine:

- A snapshot shows the best ``depth`` levels: edge and reach are the last of them, or everywhere if there are fewer.
  One without a level on either side says only that what was known before is known no longer.
- An order added down to the edge where no level is held makes a new level, whose quantity is known exactly.
- Each new level counts as one more before the reach, each that is taken away as one less. When there may be ``depth``,
  the last certain level before the reach becomes the reach: what is beyond has dropped out of view, may change untold
  and is forgotten. When it comes back into view it is as unknown as any other.
- An event beyond the reach is in view, so that the reach is there from now on, with ``depth`` - 1 levels before it at
  most. An order added beyond the edge makes a level that holds *at least* that quantity: there may be older orders.
- When as many levels before the reach are certain as there can be, there are no others: the edge is the reach.
- An execution takes the best level: nothing is before it. Where one side has an order, the other has none at that
  price or through it. Both move the edge.
- A level that holds at least some quantity may have ceased to exist once that much was taken away. Then what lies
  behind it has no determined place, until it is seen again, or one of the rules above says that it is gone.

With ``depth`` 0 the feed tells of every price and nothing drops out of view: unknown is only what a snapshot left out
and no event has named. Levels beyond the edge are held until the edge passes them.

The rules are this project's; that books neither lock nor cross and that executions take the best price are the
exchange's (Nasdaq Rule 4757, price/time priority). Levels held before an event are never taken away because of them.
"""

from __future__ import annotations

from typing import Any

from data.features.compiled import compiled
from data.orderbook.state import ABSENT, ABSENT_SET, BEYOND, EVERYWHERE, EXCESS, MALFORMED, NOWHERE, OUTSIDE, THROUGH
from data.records.deltas import ACTIONS

CLEAR, SET, ADD, CANCEL, EXECUTE, HIDDEN, HALT, RESUME, CROSS = range(len(ACTIONS))

NOISE = 1e-9
"""A rest smaller than this share of what was taken is what floats leave of nothing."""

NEAR = 8
"""Levels from the best that are looked at one by one."""


@compiled
def apply(book: Any, action: int, side: int, price: float, qty: float) -> None:
    """Change the level of ``side`` (1 bid, -1 ask) at ``price`` as `SET`, `ADD`, `CANCEL` or `EXECUTE` says."""
    if side == 0 or not price > 0.0 or not qty >= 0.0:
        book.tally[MALFORMED] += 1
        return
    own = 0 if side > 0 else 1
    levels, s, loading, key = book.levels[own], book.sides[own], book.memo[0].loading, side * price
    beyond = key < s.edge and not loading
    book.tally[BEYOND] += int(beyond)
    if action == EXECUTE:
        _take_best(levels, s, key, book.tally)
    if beyond and s.depth > 0 and not _see(levels, s, key):
        book.tally[OUTSIDE] += 1
        return
    at = place(levels, s.held, key)
    here = at < s.held and levels[at].key == key
    if action == SET:
        _set(levels, s, at, here, key, qty, book.tally)
    elif action == ADD:
        _add(levels, s, at, here, key, qty, not beyond)
    elif here:
        _reduce(levels, s, at, qty, book.tally)
    elif not beyond:
        book.tally[ABSENT] += 1
    elif key >= s.edge:
        _insert(levels, s, at, key, 0.0, 0)
    if loading:
        return
    if action != SET or qty > 0.0:
        _push_back(book.levels[1 - own], book.sides[1 - own], -key)
    if s.depth > 0:
        _look(levels, s)


@compiled
def place(levels: Any, n: int, key: float) -> int:
    """Return how many of the first ``n`` levels are below ``key``; quick where that is nearly all."""
    high = n
    while high > 0 and n - high < NEAR:
        if levels[high - 1].key < key:
            return high
        high -= 1
    low = 0
    while low < high:
        middle = (low + high) // 2
        if levels[middle].key < key:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def certain(level: Any) -> bool:
    """Whether a level that is held is known to exist."""
    return level.exact == 1 or level.qty > 0.0  # type: ignore[no-any-return]


@compiled
def _put(level: Any, key: float, qty: float, exact: int) -> None:
    level.key, level.qty, level.exact = key, qty, exact


@compiled
def _insert(levels: Any, s: Any, at: int, key: float, qty: float, exact: int) -> None:
    for k in range(s.held, at, -1):
        _put(levels[k], levels[k - 1].key, levels[k - 1].qty, levels[k - 1].exact)
    _put(levels[at], key, qty, exact)
    s.held += 1


@compiled
def _remove(levels: Any, s: Any, at: int) -> None:
    s.held -= 1
    for k in range(at, s.held):
        _put(levels[k], levels[k + 1].key, levels[k + 1].qty, levels[k + 1].exact)


@compiled
def _set(levels: Any, s: Any, at: int, here: bool, key: float, qty: float, tally: Any) -> None:
    if here and qty > 0.0:
        s.before += int(key > s.reach and not certain(levels[at]))
        _put(levels[at], key, qty, 1)
    elif here:
        s.before -= int(key > s.reach and certain(levels[at]))
        _remove(levels, s, at)
    elif qty > 0.0:
        s.before += int(key > s.reach)
        _insert(levels, s, at, key, qty, 1)
    else:
        tally[ABSENT_SET] += 1


@compiled
def _add(levels: Any, s: Any, at: int, here: bool, key: float, qty: float, new: bool) -> None:
    if qty == 0.0:
        return
    if here:
        s.before += int(key > s.reach and not certain(levels[at]))
        levels[at].qty += qty
    else:
        s.before += int(key > s.reach)
        _insert(levels, s, at, key, qty, int(new))


@compiled
def _reduce(levels: Any, s: Any, at: int, qty: float, tally: Any) -> None:
    level = levels[at]
    rest, noise = level.qty - qty, NOISE * qty
    if rest > noise:
        level.qty = rest
    elif level.exact == 1:
        tally[EXCESS] += int(rest < -noise)
        s.before -= int(level.key > s.reach)
        _remove(levels, s, at)
    elif level.key >= s.edge:
        level.qty = 0.0
    else:
        _remove(levels, s, at)


@compiled
def _take_best(levels: Any, s: Any, key: float, tally: Any) -> None:
    """Nothing is before a level that is executed."""
    first = s.held
    while first > 0 and levels[first - 1].key > key:
        first -= 1
        if certain(levels[first]):
            tally[THROUGH] += 1
            return
    s.held = first
    _empty_down_to(s, key)


@compiled
def _push_back(levels: Any, s: Any, key: float) -> None:
    """Nothing is at ``key`` or before it, because the other side has an order there."""
    first = s.held
    while first > 0 and levels[first - 1].key >= key:
        first -= 1
        if certain(levels[first]):
            return
    s.held = first
    _empty_down_to(s, key)


@compiled
def _empty_down_to(s: Any, key: float) -> None:
    s.edge = min(s.edge, key)
    if key <= s.reach:
        s.reach, s.before = key, 0


@compiled
def _see(levels: Any, s: Any, key: float) -> bool:
    """An event is told of, so it is in view; return whether it can be."""
    if key < s.reach:
        sure = 0
        for k in range(s.held):
            sure += int(certain(levels[k]))
        if sure >= s.depth:
            return False
        s.reach, s.before = key, s.depth - 1
    _complete(levels, s)
    return True


@compiled
def _look(levels: Any, s: Any) -> None:
    """Find how far the view reaches after a change, and forget what is beyond."""
    if s.before >= s.depth:
        last = 0
        while levels[last].key <= s.reach or not certain(levels[last]):
            last += 1
        for k in range(last, s.held):
            _put(levels[k - last], levels[k].key, levels[k].qty, levels[k].exact)
        s.held -= last
        s.reach, s.before = levels[0].key, s.depth - 1
        s.edge = max(s.edge, s.reach)
    _complete(levels, s)


@compiled
def _complete(levels: Any, s: Any) -> None:
    """Take the edge to the end of the view, if as many levels are certain as there can be."""
    sure, held = 0, 0
    for k in range(s.held):
        inside = levels[k].key > s.reach
        held += int(inside)
        sure += int(inside and certain(levels[k]))
    if s.edge <= s.reach:
        s.before = min(s.before, held)
    if sure == s.before:
        s.edge = min(s.edge, s.reach)
        if held > sure:
            _keep_certain(levels, s)


@compiled
def _keep_certain(levels: Any, s: Any) -> None:
    """Take away the levels before the end of the view that may exist: they do not."""
    kept = 0
    for k in range(s.held):
        if certain(levels[k]) or levels[k].key <= s.reach:
            _put(levels[kept], levels[k].key, levels[k].qty, levels[k].exact)
            kept += 1
    s.held = kept


@compiled
def clear(book: Any) -> None:
    """Forget all: nothing is known until the snapshot that follows is complete."""
    for own in range(2):
        s = book.sides[own]
        s.held, s.edge, s.reach, s.before = 0, NOWHERE, NOWHERE, 0


@compiled
def loaded(book: Any) -> None:
    """Say how far a snapshot reaches, now that it is complete; one without any level says nothing of a part."""
    book.memo[0].loading = 0
    told = book.sides[0].held + book.sides[1].held > 0
    for own in range(2):
        levels, s = book.levels[own], book.sides[own]
        while s.depth > 0 and s.held > s.depth:
            _remove(levels, s, 0)
        if (s.held < s.depth and told) or (s.whole and s.depth == 0):
            s.edge = EVERYWHERE
        elif s.held > 0:
            s.edge = levels[0].key
        s.reach = s.edge
        s.before = s.held - int(s.held == s.depth)
