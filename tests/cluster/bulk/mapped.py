"""Functions that the tests map over items."""

from __future__ import annotations

import functools

from ipyparallel import interactive


@interactive
def odd_only(x):
    if x % 2 == 0:
        raise ValueError(f"{x} is even")
    return x


@interactive
def nap(seconds):
    import time

    time.sleep(seconds)
    return seconds


def slow_from(first):
    """A function of numbers: those from the first on take 20 ms."""
    return functools.partial(interactive(nap_from), first)


def nap_from(first, x):
    import time

    time.sleep(0.02 if x >= first else 0)
