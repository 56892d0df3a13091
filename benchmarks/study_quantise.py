"""What 8-bit weights cost and save in the sequence families: size, time of one row, difference of the answers.

python -m benchmarks.study_quantise [--rows 10000] [--features 17] [--hidden 64 256]

Fitted to windows of noise whose newest row explains part of the outcome. A size and a time are shares of the full
graph's.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read once, when the libraries are imported
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import argparse

import numpy as np

from bellwether.errors import ModelError
from bellwether.models import family
from bellwether.models.quantise import Loss, loss, quantised
from bellwether.models.training import Task, Training, plain

FAMILIES = ("rnn", "gru", "lstm", "attention_lstm", "mlplob")
COLUMNS = ("family", "hidden", "weights", "bytes", "size", "one row, µs", "time", "largest", "mean", "spread")


def market(rows: int, features: int, lookback: int) -> Training:
    """Windows, and the three classes that their newest row half explains."""
    rng = np.random.default_rng(0)
    single = rng.normal(size=(rows, features)).astype(np.float32)
    back = np.maximum(np.arange(rows)[:, None] + np.arange(1 - lookback, 1), 0)
    outcome = np.sqrt(0.5) * single[:, 0] + np.sqrt(0.5) * rng.normal(size=rows)
    return plain(single[back].reshape(rows, -1), np.digitize(outcome, [-0.43, 0.43]), classes=3, lookback=lookback)


def line(name: str, hidden: int, how: str, graph: bytes, found: Loss) -> str:
    """A row of the table."""
    return (
        f"| {name} | {hidden} | {how} | {len(graph):,} | {found.size:.0%} | {found.microseconds:.0f} | "
        f"{found.latency:.0%} | {found.largest:.4f} | {found.mean:.4f} | {found.spread:.3f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--features", type=int, default=17)
    parser.add_argument("--hidden", type=int, nargs="*", default=[64, 256])
    options = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    for name in FAMILIES:
        standard = family(name).standard(Task.CLASSIFY)
        rows = market(options.rows, options.features, standard["lookback"])
        for hidden in options.hidden:
            graph = family(name).train(rows, standard | {"hidden": hidden, "epochs": 2}).graph()
            for how, per_channel in (("one scale a layer", False), ("one scale an output", True)):
                try:
                    small = quantised(graph, per_channel=per_channel)
                except ModelError as error:
                    print(f"| {name} | {hidden} | {how} | {error} |")
                    continue
                print(line(name, hidden, how, graph, loss(graph, small, rows.x)), flush=True)


if __name__ == "__main__":
    main()
