"""The micro-price against Stoikov's recursion, written out in full, and against chains whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.features.base import Floats
from data.features.compiled import compiled
from data.features.microprice import LEANS, MICROPRICE, PRIOR, SOLVE_EVERY, SPREADS, forget_microprice, microprice

CLASSES = 2 * LEANS + 1
TICK = 0.01
BOOK = "lobster/{}_2012-06-21_34200000_57600000_orderbook_5.csv.gz"


@compiled
def follow(m, quotes, tick, out):  # type: ignore[no-untyped-def]
    for i in range(len(quotes)):
        out[i] = microprice(m, quotes[i, 0], quotes[i, 1], quotes[i, 2], quotes[i, 3], tick)


def followed(quotes: Floats, m: np.void | None = None) -> tuple[np.void, Floats]:
    m = np.zeros(1, MICROPRICE)[0] if m is None else m
    out = np.empty(len(quotes))
    follow(m, quotes, TICK, out)
    return m, out


def real_quotes(data: Path, symbol: str) -> Floats:
    """Best bid price and quantity, best ask price and quantity: as many rows as end with a solution."""
    book = pd.read_csv(data / BOOK.format(symbol), header=None, usecols=range(4)).to_numpy(float)[:, [2, 3, 0, 1]]
    return book[: len(book) // SOLVE_EVERY * SOLVE_EVERY] / [10_000.0, 1.0, 10_000.0, 1.0]


def states(quotes: Floats) -> tuple[np.ndarray, np.ndarray]:
    """Signed class of the imbalance, -LEANS to LEANS, and class of the spread."""
    bid, bid_qty, ask, ask_qty = quotes.T
    imbalance = (bid_qty - ask_qty) / (bid_qty + ask_qty)
    size = np.minimum(np.floor(np.abs(imbalance) * LEANS) + 1, LEANS)
    ticks = np.round((ask - bid) / TICK)
    return (np.sign(imbalance) * size).astype(int), np.searchsorted([1, 2, 4, 8, 16], ticks)


def stoikov(quotes: Floats, prior: float) -> dict[tuple[int, int], float]:
    """The paper's recursion over all states: G1, then B G1, B B G1 … added up until nothing is left to add."""
    lean, width = states(quotes)
    mid = (quotes[:, 0] + quotes[:, 2]) / 2
    n = CLASSES * SPREADS
    stays, moves, drift = np.zeros((n, n)), np.zeros((n, n)), np.zeros(n)
    for mirror in (1, -1):  # each transition counts once as it was and once as its mirror image
        at = (mirror * lean + LEANS) * SPREADS + width
        move = mirror * np.diff(mid)
        quiet = np.abs(move) < TICK / 10
        np.add.at(stays, (at[:-1][quiet], at[1:][quiet]), 1.0)
        np.add.at(moves, (at[:-1][~quiet], at[1:][~quiet]), 1.0)
        np.add.at(drift, at[:-1], move)
    image = (CLASSES - 1 - np.arange(n) // SPREADS) * SPREADS + np.arange(n) % SPREADS
    stays[np.arange(n), np.arange(n)] += prior / 2
    stays[np.arange(n), image] += prior / 2
    seen = (stays + moves).sum(axis=1)
    known = seen > 0
    stays, moves = (a[np.ix_(known, known)] / seen[known][:, None] for a in (stays, moves))
    q = np.eye(known.sum()) - stays
    first, onwards = np.linalg.solve(q, drift[known] / seen[known]), np.linalg.solve(q, moves)
    total, term = np.zeros(known.sum()), first
    while np.abs(term).max() > 1e-15:
        total, term = total + term, onwards @ term
    return {(k // SPREADS - LEANS, k % SPREADS): g for k, g in zip(np.flatnonzero(known), total, strict=True)}


@pytest.mark.parametrize("symbol", ["AMZN", "GOOG"])
def test_is_the_limit_of_the_papers_recursion_on_a_real_day(symbol: str, market_data: Path) -> None:
    quotes = real_quotes(market_data, symbol)
    m, _ = followed(quotes)
    expected = stoikov(quotes, PRIOR)
    got = {(k // SPREADS + 1, k % SPREADS): m["adjustment"][k] for k in range(LEANS * SPREADS)}
    for state, g in got.items():
        assert g == pytest.approx(expected[state], abs=1e-9)
        assert -g == pytest.approx(expected[-state[0], state[1]], abs=1e-9)
    assert max(abs(g) for (lean, _), g in expected.items() if lean == 0) < 1e-9
    plain = stoikov(quotes, 0.0)  # without the imaginary transitions
    often = [state for state in got if m["seen"][(state[0] - 1) * SPREADS + state[1]] > 500]
    assert len(often) > 10
    for state in often:
        assert got[state] == pytest.approx(plain[state], abs=0.1 * TICK)


@pytest.mark.parametrize("symbol", ["AMZN", "GOOG"])
def test_foretells_the_mid_better_than_the_mid_does(symbol: str, market_data: Path) -> None:
    quotes = real_quotes(market_data, symbol)
    _, micro = followed(quotes)
    mid = (quotes[:, 0] + quotes[:, 2]) / 2
    now, later = slice(20_000, -200), slice(20_200, None)
    assert np.mean((mid[later] - micro[now]) ** 2) < np.mean((mid[later] - mid[now]) ** 2)


def test_a_chain_with_a_known_answer() -> None:
    """Each quote leans at random; then the mid goes half a tick that way, one time in four. G is what that gains."""
    rng = np.random.default_rng(0)
    n = 40_000 // SOLVE_EVERY * SOLVE_EVERY
    lean = rng.choice([-1, 1], n)
    mid = 50.0 + TICK / 2 * np.cumsum(np.concatenate([[0], (lean * (rng.random(n) < 0.25))[:-1]]))
    quotes = np.column_stack([mid - TICK / 2, 500 + 300 * lean, mid + TICK / 2, 500 - 300 * lean])
    _, micro = followed(quotes)
    assert (micro - mid)[-1] * lean[-1] == pytest.approx(TICK / 8, rel=0.1)


def test_is_the_mid_until_something_is_learnt_and_where_the_book_is_even() -> None:
    quotes = np.tile([9.99, 300.0, 10.01, 100.0], (SOLVE_EVERY - 1, 1))
    m, micro = followed(quotes)
    np.testing.assert_array_equal(micro, 10.0)
    _, micro = followed(np.tile([9.99, 300.0, 10.01, 300.0], (3 * SOLVE_EVERY, 1)), m)
    np.testing.assert_array_equal(micro, 10.0)


def test_forgets_everything() -> None:
    rng = np.random.default_rng(1)
    bid, (bid_qty, ask_qty) = rng.choice([9.98, 9.99, 10.0], 600), rng.integers(1, 9, (2, 600))
    m, _ = followed(np.column_stack([bid, bid_qty, np.full(600, 10.01), ask_qty]))
    assert m["adjustment"].any()
    forget_microprice(m)
    assert m.tobytes() == np.zeros(1, MICROPRICE).tobytes()
