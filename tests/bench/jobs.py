"""The jobs that several systems do, and how well they could be done.

Workers of all systems import this: standard library only, but for the tree
search.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "bridge/client/examples"

SKEWED_S = 0.04
"""Mean of skewed tasks. The stock client takes 1 to 2 ms to submit one: at
10 ms, four workers would wait for it, and no scheduler could help."""


def nothing(_=None):
    return None


def nap(seconds: float) -> float:
    """A task that takes time and no processor: two cores stand for many."""
    time.sleep(seconds)
    return seconds


def visit(tree, stack, most):
    """A part of UTS: the example's own, under a name that can be pickled."""
    if str(EXAMPLES) not in sys.path:
        sys.path.append(str(EXAMPLES))
    import uts
    return uts.visit(tree, stack, most)


def skewed_times(tasks: int, mean_s: float, seed: int = 1) -> list[float]:
    """Pareto, shape 1.5, cut at 20 means."""
    draw = random.Random(seed)
    least = mean_s / 3
    return [min(least * draw.paretovariate(1.5), 20 * mean_s)
            for _ in range(tasks)]


def ideal(times: list[float], workers: int) -> float:
    """Seconds that no schedule can beat."""
    return max(sum(times) / workers, max(times))
