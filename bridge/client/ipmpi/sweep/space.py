"""What may be tried: a space is a dict from parameter names to domains.

A list, tuple, range or array is a choice among its items. A distribution of
scipy.stats (anything with `rvs`) is drawn from, as scikit-learn's searches do.
Anything else that is not a domain is a constant. NumPy's numbers become plain
Python ones, so that they survive JSON.
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
        object.__setattr__(self, "options",
                           tuple(_plain(option) for option in options))

    def draw(self, rng: random.Random) -> Any:
        return rng.choice(self.options)

    def __repr__(self) -> str:
        return f"choice({', '.join(map(text_of, self.options))})"


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
    """An int from low to high, both included (scipy's leaves high out)."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"randint({self.low}, {self.high}) is empty")

    def draw(self, rng: random.Random) -> int:
        return rng.randint(self.low, self.high)


class _Scipy:
    """A distribution of scipy.stats, or any other with `rvs`."""

    def __init__(self, distribution: Any) -> None:
        self._distribution = distribution

    def draw(self, rng: random.Random) -> Any:
        return _plain(self._distribution.rvs(
            random_state=rng.getrandbits(32)))

    def __repr__(self) -> str:
        frozen = self._distribution
        kind = getattr(getattr(frozen, "dist", None), "name", None)
        if kind is None:
            return type(frozen).__name__
        words = [repr(_plain(value)) for value in frozen.args]
        words += [f"{name}={_plain(value)!r}"
                  for name, value in frozen.kwds.items()]
        return f"scipy.stats.{kind}({', '.join(words)})"


def _plain(value: Any) -> Any:
    """A NumPy number as Python's."""
    return value.item() if hasattr(value, "item") and not getattr(
        value, "shape", ()) else value


def text_of(value: Any) -> str:
    """A text that is the same for the same value in another process: functions
    and classes have theirs by name."""
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value)


def _domain(value: Any):
    """What a space says about a parameter, as an object that draws; a constant
    is a choice of one."""
    if isinstance(value, (choice, uniform, loguniform, randint)):
        return value
    if hasattr(value, "rvs"):
        return _Scipy(value)
    if isinstance(value, (list, tuple, range)) or getattr(value, "shape", ()):
        if len(value) == 0:
            raise ValueError("an empty list is no choice")
        return choice(*value)
    return choice(value)


def name_of(value: Any) -> str:
    """A domain's text_of, whatever way it was given in."""
    return repr(_domain(value))


def grid(space: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every combination, the last name varying fastest. ValueError: a
    parameter has infinitely many values."""
    options = {}
    for name, value in space.items():
        domain = _domain(value)
        if isinstance(domain, randint):
            domain = choice(*range(domain.low, domain.high + 1))
        if not isinstance(domain, choice):
            raise ValueError(f"{name}: a grid needs a list, not {domain}")
        options[name] = domain.options
    for values in itertools.product(*options.values()):
        yield dict(zip(options, values))


def draw(space: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """One setting at random."""
    return {name: _domain(value).draw(rng) for name, value in space.items()}
