"""The jobs that several systems do, and how well they could be done.

Standard library only: workers of all systems import this.
"""

from __future__ import annotations

import random
import time


def nothing(_=None):
    return None


def nap(seconds: float) -> float:
    """A task that takes time and no processor: two cores stand for many."""
    time.sleep(seconds)
    return seconds


def skewed_times(tasks: int, mean_s: float, seed: int = 1) -> list[float]:
    """Pareto, shape 1.5, cut at 20 means."""
    draw = random.Random(seed)
    least = mean_s / 3
    return [min(least * draw.paretovariate(1.5), 20 * mean_s)
            for _ in range(tasks)]


def ideal(times: list[float], workers: int) -> float:
    """Seconds that no schedule can beat."""
    return max(sum(times) / workers, max(times))
