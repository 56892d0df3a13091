"""Which queue empties first: the closed form, plain random walks, waiting times, and what must hold by symmetry."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.linalg import expm

from bellwether.econometrics.birth_death import Queue, balanced_chance, depletion_table, estimate_queue, look_up
from bellwether.errors import ConfigError, DataError

Floats = NDArray[np.float64]
BID, ASK = Queue(arrival=1.0, departure=1.3, cancel=0.05), Queue(arrival=0.7, departure=0.9, cancel=0.1)

rates = st.builds(
    Queue, arrival=st.floats(0.0, 1.0), departure=st.floats(1.05, 3.0), cancel=st.sampled_from([0.0, 0.02, 0.3])
)


def test_the_table_is_the_closed_form_where_rates_are_balanced():
    """The cut-off grid comes to it as the fourth power of its size."""
    n, m = np.meshgrid(np.arange(1.0, 16.0), np.arange(1.0, 16.0), indexing="ij")
    exact, queue = balanced_chance(n, m), Queue(arrival=2.0, departure=2.0)
    off = [np.abs(depletion_table(queue, queue, largest=15, grid=g)[1:, 1:] - exact).max() for g in (40, 80, 160)]
    assert off[2] < 1e-5
    assert off[0] / off[1] == pytest.approx(16.0, rel=0.15)
    assert np.abs(depletion_table(queue, queue, largest=15)[1:, 1:] - exact).max() < 5e-4


def test_the_closed_form_is_its_integral():
    def integrand(t: float, n: float, m: float) -> float:
        rise = 2.0 - np.cos(t)
        return (rise - np.sqrt(rise**2 - 1.0)) ** m * np.sin(n * t) * np.cos(t / 2.0) / np.sin(t / 2.0) / np.pi

    for n, m in ((1.0, 3.0), (20.0, 7.0), (60.0, 90.0)):
        want = quad(integrand, 0.0, np.pi, args=(n, m), limit=2000)[0]
        assert balanced_chance(np.array([n]), np.array([m])) == pytest.approx([want], abs=1e-8)


def test_large_balanced_queues_are_a_brownian_motion():
    """Cont and de Larrard (2013): the chance tends to (2 / π) arctan(bid / ask)."""
    n, m = np.array([200.0, 300.0]), np.array([400.0, 100.0])
    assert balanced_chance(n, m) == pytest.approx(2.0 / np.pi * np.arctan(n / m), abs=1e-4)


def test_random_walks_say_the_same():
    rng, walks = np.random.default_rng(0), 40_000
    bid, ask = np.full(walks, 4.0), np.full(walks, 3.0)
    while (going := (bid > 0.0) & (ask > 0.0)).any():
        n, m = bid[going], ask[going]
        each = np.stack(
            [
                np.full_like(n, BID.arrival),
                BID.departure + BID.cancel * n,
                np.full_like(m, ASK.arrival),
                ASK.departure + ASK.cancel * m,
            ]
        )
        drawn = (rng.random(len(n)) * each.sum(axis=0) >= np.cumsum(each, axis=0)).sum(axis=0)
        bid[going] += np.array([1.0, -1.0, 0.0, 0.0])[drawn]
        ask[going] += np.array([0.0, 0.0, 1.0, -1.0])[drawn]
    chance = depletion_table(BID, ASK, largest=5)[4, 3]
    assert (ask == 0.0).mean() == pytest.approx(chance, abs=4.0 * np.sqrt(chance * (1.0 - chance) / walks))


def test_the_waiting_times_of_both_queues_say_the_same():
    """The integral over time: the ask empties at t, and the bid has not yet (Cont, Stoikov and Talreja 2010)."""

    def emptied(queue: Queue, start: int, times: Floats, size: int = 40) -> Floats:
        """Chance that the queue has emptied by each of evenly spaced times."""
        moves = np.zeros((size + 1, size + 1))
        for n in range(1, size + 1):
            up, down = queue.arrival * (n < size), queue.departure + queue.cancel * n
            moves[n, n - 1], moves[n, n] = down, -up - down
            if n < size:
                moves[n, n + 1] = up
        step, now, out = expm(moves * (times[1] - times[0])), np.eye(size + 1)[start], []
        for _ in times:
            out.append(now[0])
            now = now @ step
        return np.array(out)

    times = np.linspace(0.0, 120.0, 12_001)
    bid, ask = emptied(BID, 4, times), emptied(ASK, 3, times)
    first = np.sum(np.diff(ask) * (1.0 - 0.5 * (bid[1:] + bid[:-1])))
    assert depletion_table(BID, ASK, largest=5)[4, 3] == pytest.approx(first, abs=1e-5)


def test_a_queue_that_only_loses_orders_is_a_race_of_two():
    """Without arrivals: bid n against ask 1 at equal rates is lost only if the bid loses n orders in a row."""
    queue = Queue(arrival=0.0, departure=1.0)
    table = depletion_table(queue, queue, largest=8)
    np.testing.assert_allclose(table[1:, 1], 1.0 - 0.5 ** np.arange(1, 9), atol=1e-12)


@settings(max_examples=25)
@given(bid=rates, ask=rates)
def test_what_must_hold_for_all_rates(bid, ask):
    table, mirrored = depletion_table(bid, ask, largest=6), depletion_table(ask, bid, largest=6)
    assert (np.diff(table[:, 1:], axis=0) > -1e-12).all()  # a longer bid makes the ask empty first more likely
    assert (np.diff(table[1:], axis=1) < 1e-12).all()
    np.testing.assert_allclose(table + mirrored.T, 1.0, atol=1e-9)
    faster = [Queue(arrival=7.0 * q.arrival, departure=7.0 * q.departure, cancel=7.0 * q.cancel) for q in (bid, ask)]
    np.testing.assert_allclose(depletion_table(faster[0], faster[1], largest=6), table, atol=1e-9)
    even = depletion_table(bid, bid, largest=6)
    np.testing.assert_allclose(np.diag(even), 0.5, atol=1e-9)


def test_cutting_the_grid_off_hardly_matters_where_queues_shrink():
    one, other = (depletion_table(BID, ASK, largest=15, grid=grid) for grid in (60, 200))
    np.testing.assert_allclose(one, other, atol=1e-9)


@settings(max_examples=30)
@given(n=st.floats(0.0, 9.0), m=st.floats(0.0, 9.0))
def test_between_the_entries_of_a_table_it_is_linear(n, m):
    table = depletion_table(BID, ASK, largest=6, grid=20)
    x, y = min(n, 6.0), min(m, 6.0)
    rows = [np.interp(y, np.arange(7.0), line) for line in table]
    assert look_up(table, np.array([n]), np.array([m])) == pytest.approx([np.interp(x, np.arange(7.0), rows)])


def walked(queue: Queue, start: float, seconds: float, seed: int) -> tuple[Floats, Floats, Floats]:
    """Times, prices and sizes of a bid: each time it empties, the price falls and a new queue is there."""
    rng, now, price, size = np.random.default_rng(seed), 0.0, 100.0, start
    rows = [(now, price, size)]
    while now < seconds:
        now += rng.exponential(1.0 / (queue.arrival + queue.departure))
        size += 1.0 if rng.random() * (queue.arrival + queue.departure) < queue.arrival else -1.0
        if size == 0.0:
            price, size = price - 1.0, start
        rows.append((now, price, size))
    times, prices, sizes = np.array(rows).T
    return times, prices, sizes


def test_rates_are_found_again():
    times, prices, sizes = walked(Queue(arrival=2.0, departure=2.5), 6.0, 4000.0, seed=1)
    for side, shown in (("bid", prices), ("ask", -prices)):
        found = estimate_queue(times, shown, 10.0 * sizes, side=side)
        assert found.arrival == pytest.approx(2.0, abs=4.0 * np.sqrt(2.0 / 4000.0))
        assert found.departure == pytest.approx(2.5, abs=4.0 * np.sqrt(2.5 / 4000.0))


def test_an_improved_price_tells_nothing_of_the_queue_behind():
    times, sizes = np.arange(6.0), np.array([5.0, 4.0, 9.0, 8.0, 7.0, 8.0])
    found = estimate_queue(times, np.array([1.0, 1.0, 2.0, 2.0, 2.0, 2.0]), sizes, side="bid", unit=1.0)
    assert (found.arrival, found.departure) == (0.25, 0.75)


def test_what_cannot_be_used_is_refused():
    ones = np.ones(3)
    with pytest.raises(ConfigError, match="departure"):
        Queue(arrival=1.0, departure=0.0)
    with pytest.raises(ConfigError, match="grid 3"):
        depletion_table(BID, ASK, largest=4, grid=3)
    with pytest.raises(DataError, match="NaN"):
        look_up(np.eye(3), np.array([np.nan]), np.array([1.0]))
    with pytest.raises(DataError, match="whole"):
        balanced_chance(np.array([0.5]), np.array([1.0]))
    with pytest.raises(DataError, match="loses nothing"):
        estimate_queue(np.arange(3.0), ones, ones, side="bid")
    with pytest.raises(DataError, match="ascending"):
        estimate_queue(-np.arange(3.0), ones, ones, side="bid")
    with pytest.raises(DataError, match="positive"):
        estimate_queue(np.arange(3.0), ones, 0.0 * ones, side="ask")
    with pytest.raises(ConfigError, match=r"unit is 0\.0"):
        estimate_queue(np.arange(3.0), -np.arange(3.0), ones, side="bid")
