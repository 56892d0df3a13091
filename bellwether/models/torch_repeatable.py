"""Torch, set so that a fit repeats bit for bit, and put back as it was afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
"""cuBLAS and cuDNN repeat themselves only with a workspace of fixed size (cuBLAS manual, "Results reproducibility")."""


class Repeatable:
    """A seeded random state of its own, on one thread; what torch was set to comes back when the block ends.

    One object may be entered again and again, and its random numbers go on where they stopped. A fit that reports as
    it goes so leaves the process alone while it waits to be asked for the next epoch.

    Parameters
    ----------
    seed : int
    device : torch.device
        Whose random state is kept, too, and made to use algorithms that repeat.

    Examples
    --------
    >>> before = torch.get_num_threads(), torch.get_rng_state()
    >>> own = Repeatable(7, torch.device("cpu"))
    >>> with own:
    ...     first = torch.rand(1)
    >>> with own:
    ...     second = torch.rand(1)
    >>> with Repeatable(7, torch.device("cpu")):
    ...     bool((torch.rand(2) == torch.cat([first, second])).all()), torch.get_num_threads()
    (True, 1)
    >>> torch.get_num_threads() == before[0], bool((torch.get_rng_state() == before[1]).all())
    (True, True)
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._gpu = device if device.type == "cuda" else None
        if self._gpu is not None:
            os.environ.setdefault(*WORKSPACE)
        self._own = [torch.Generator(kind).manual_seed(seed).get_state() for kind in self._kinds()]

    def __enter__(self) -> None:
        self._found = torch.get_num_threads(), self._states(), torch.are_deterministic_algorithms_enabled()
        torch.set_num_threads(1)
        self._restore(self._own)
        if self._gpu is not None:  # on a CPU, all that the families do repeats as it is
            torch.use_deterministic_algorithms(True)

    def __exit__(self, *error: object) -> None:
        self._own = self._states()
        threads, states, deterministic = self._found
        torch.set_num_threads(threads)
        self._restore(states)
        if self._gpu is not None:
            torch.use_deterministic_algorithms(deterministic)

    def _kinds(self) -> list[torch.device]:
        return [torch.device("cpu")] + ([self._gpu] if self._gpu is not None else [])

    def _states(self) -> list[torch.Tensor]:
        return [torch.get_rng_state()] + ([torch.cuda.get_rng_state(self._gpu)] if self._gpu is not None else [])

    def _restore(self, states: list[torch.Tensor]) -> None:
        torch.set_rng_state(states[0])
        if self._gpu is not None:
            torch.cuda.set_rng_state(states[1], self._gpu)


@contextmanager
def answering() -> Iterator[None]:
    """One thread and no gradients: what a prediction runs in."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(threads)


def best_device() -> torch.device:
    """The GPU, where this process sees one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
