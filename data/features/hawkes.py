"""Excitation that each event adds to and time takes away: Hawkes intensities, and rates that forget."""

from __future__ import annotations

from math import exp

from data.features.compiled import compiled


@compiled
def faded(share: float, elapsed: float) -> float:
    """What is left of an excitation after ``elapsed`` seconds that decays by ``share`` a second: exp(-share * elapsed).

    The sum of exponential kernels over all events of the past needs no past: between events the whole sum fades by one
    factor, and an event adds its jump. With R the sum of exp(-beta (t - t_i)) over events i, the intensity of a Hawkes
    process with exponential kernel is mu + alpha R, and with a jump of ``share`` times a quantity the sum is a rate, of
    that quantity a second, over an exponential window of mean age 1 / share.

    Sources: Hawkes, "Spectra of some self-exciting and mutually exciting point processes", Biometrika 58 (1971), for
    the process; Ogata, "On Lewis' simulation method for point processes", IEEE Transactions on Information Theory 27
    (1981), for the recursion.

    >>> excited = 0.0
    >>> for wait in (0.0, 2.0):  # two events, two seconds apart
    ...     excited = excited * faded(0.5, wait) + 1.0
    >>> round(excited, 6)  # 1 + exp(-1)
    1.367879
    """
    return exp(-share * max(elapsed, 0.0))
