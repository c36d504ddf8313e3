"""What may be tried: a space is a dict from parameter names to domains.

A list or tuple is a choice among its items; anything else that is not a
domain is a constant. Values drawn are plain Python numbers, so that they
survive JSON.
"""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass
from typing import Any, Iterator


@dataclass(frozen=True)
class choice:
    """One of the options, each as likely."""

    options: tuple

    def __init__(self, *options: Any) -> None:
        if not options:
            raise ValueError("choice() of nothing")
        object.__setattr__(self, "options", options)

    def draw(self, rng: random.Random) -> Any:
        return rng.choice(self.options)


@dataclass(frozen=True)
class uniform:
    """A float from low to high."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"uniform({self.low}, {self.high}) is empty")

    def draw(self, rng: random.Random) -> float:
        return rng.uniform(self.low, self.high)


@dataclass(frozen=True)
class loguniform:
    """A float from low to high whose logarithm is uniform; 0 < low."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high:
            raise ValueError(f"loguniform({self.low}, {self.high}): not "
                             "0 < low < high")

    def draw(self, rng: random.Random) -> float:
        return math.exp(rng.uniform(math.log(self.low), math.log(self.high)))


@dataclass(frozen=True)
class randint:
    """An int from low to high, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"randint({self.low}, {self.high}) is empty")

    def draw(self, rng: random.Random) -> int:
        return rng.randint(self.low, self.high)


DOMAINS = (choice, uniform, loguniform, randint)


def _options(domain: Any) -> tuple | None:
    """The options of a choice, (constant,), or None for a range."""
    if isinstance(domain, choice):
        return domain.options
    if isinstance(domain, (list, tuple)):
        if not domain:
            raise ValueError("an empty list is no choice")
        return tuple(domain)
    if isinstance(domain, randint):
        return tuple(range(domain.low, domain.high + 1))
    if isinstance(domain, DOMAINS):
        return None
    return (domain,)


def grid(space: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every combination, the last name varying fastest. ValueError: a
    parameter has infinitely many values."""
    options = {name: _options(domain) for name, domain in space.items()}
    for name, values in options.items():
        if values is None:
            raise ValueError(f"{name}: a grid needs a list, not "
                             f"{space[name]}")
    for values in itertools.product(*options.values()):
        yield dict(zip(options, values))


def draw(space: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """One setting at random."""
    setting = {}
    for name, domain in space.items():
        if isinstance(domain, (list, tuple)):
            domain = choice(*domain)
        setting[name] = (domain.draw(rng) if isinstance(domain, DOMAINS)
                         else domain)
    return setting
