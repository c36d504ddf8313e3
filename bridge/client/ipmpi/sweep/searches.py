"""Searches: what to run next, given what has come back.

A search hands out jobs by `next()` and learns scores by `tell()`; a higher
score is better, None means that the job failed. It knows nothing of clusters
and clocks, so the same answers in the same order give the same search.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from .space import draw, grid, name_of


@dataclass(frozen=True)
class Job:
    """One run of the function.

    trial:  number of the setting, from 0
    rung:   how often the trial was promoted before
    budget: what it may use in all, or None for a search without budgets
    """

    trial: int
    params: dict[str, Any] = field(hash=False)
    rung: int = 0
    budget: float | None = None


class _Settings:
    """A search that runs each setting once."""

    def __init__(self, settings: list[dict]) -> None:
        #: how many jobs there will be; None: that depends on scores
        self.total: int | None = len(settings)
        self._waiting = [Job(i, params) for i, params in enumerate(settings)]
        self._waiting.reverse()
        self._running = 0

    def next(self) -> Job | None:
        """The next job; None: none now."""
        if not self._waiting:
            return None
        self._running += 1
        return self._waiting.pop()

    def tell(self, job: Job, score: float | None) -> None:
        """A job came back."""
        self._running -= 1

    @property
    def done(self) -> bool:
        """Whether there is nothing left, neither to run nor running."""
        return not self._waiting and not self._running


class Grid(_Settings):
    """Every combination of the space's values."""

    def __init__(self, space: dict[str, Any]) -> None:
        self.space, self.seed = space, 0
        super().__init__(list(grid(space)))

    def describe(self) -> dict:
        """What makes this search the one it is; plain JSON."""
        return {"search": "grid", "space": _plain(self.space)}

    def reseeded(self, seed: int) -> "Grid":
        """The same search, from its start, with another seed."""
        return Grid(self.space)


class Random(_Settings):
    """n settings at random.

    seed: the same seed draws the same settings; None: any
    """

    def __init__(self, space: dict[str, Any], n: int,
                 seed: int | None = None) -> None:
        self.space, self.n, self.seed = space, n, _seed(seed)
        super().__init__(_draw_all(space, n, self.seed))

    def describe(self) -> dict:
        """See Grid.describe."""
        return {"search": "random", "space": _plain(self.space), "n": self.n}

    def reseeded(self, seed: int) -> "Random":
        """See Grid.reseeded."""
        return Random(self.space, self.n, seed)


class _Rungs:
    """What Halving and Asha share: n settings at random, and budgets that grow
    by `factor` from `min_budget` as long as they are within `max_budget`.

    seed: as Random has it
    """

    name = ""
    total: int | None = None

    def __init__(self, space: dict[str, Any], n: int, *, min_budget: float,
                 max_budget: float, factor: int = 3,
                 seed: int | None = None) -> None:
        if not 0 < min_budget <= max_budget:
            raise ValueError("not 0 < min_budget <= max_budget")
        if factor < 2:
            raise ValueError("factor must be at least 2")
        self.space, self.n, self.seed = space, n, _seed(seed)
        self.min_budget, self.max_budget = min_budget, max_budget
        self.factor = factor
        self.budgets = [min_budget]
        while self.budgets[-1] * factor <= max_budget:
            self.budgets.append(self.budgets[-1] * factor)
        self._settings = _draw_all(space, n, self.seed)
        #: of each rung: trial -> score of those that came back
        self._scores: list[dict[int, float]] = [{} for _ in self.budgets]
        self._started = 0
        self._running = 0

    def _job(self, trial: int, rung: int) -> Job:
        self._running += 1
        return Job(trial, self._settings[trial], rung, self.budgets[rung])

    def _start_one(self) -> Job | None:
        if self._started == self.n:
            return None
        self._started += 1
        return self._job(self._started - 1, 0)

    def _best_of(self, rung: int, count: int) -> list[int]:
        """The best trials of a rung, best first; earlier ones on a tie."""
        scores = self._scores[rung]
        return sorted(scores, key=lambda t: (-scores[t], t))[:count]

    def describe(self) -> dict:
        """See Grid.describe."""
        return {"search": self.name, "space": _plain(self.space),
                "n": self.n, "min_budget": self.min_budget,
                "max_budget": self.max_budget, "factor": self.factor}

    def reseeded(self, seed: int):
        """See Grid.reseeded."""
        return type(self)(self.space, self.n, factor=self.factor,
                          min_budget=self.min_budget,
                          max_budget=self.max_budget, seed=seed)


class Halving(_Rungs):
    """Successive halving (Jamieson and Talwalkar 2016): all settings run
    with the smallest budget; the best 1/factor of a rung go on to the next, when
    the whole rung is back. Each rung costs about n * min_budget.
    """

    name = "halving"

    def __init__(self, *args, **keywords) -> None:
        super().__init__(*args, **keywords)
        self.total = sum(map(self._size, range(len(self.budgets))))
        self._rung = 0
        self._waiting: list[int] = list(range(self.n))

    def _size(self, rung: int) -> int:
        return max(1, self.n // self.factor ** rung)

    def next(self) -> Job | None:
        """See Grid."""
        if not self._waiting and not self._running:
            self._climb()
        if not self._waiting:
            return None
        return self._job(self._waiting.pop(0), self._rung)

    def _climb(self) -> None:
        came = len(self._scores[self._rung])
        if self._rung + 1 == len(self.budgets) or came == 0:
            return
        size = self._size(self._rung + 1)
        self._waiting = self._best_of(self._rung, min(size, came))
        self._rung += 1

    def tell(self, job: Job, score: float | None) -> None:
        """See Grid."""
        self._running -= 1
        if score is not None:
            self._scores[job.rung][job.trial] = score

    @property
    def done(self) -> bool:
        """See Grid."""
        if self._running or self._waiting:
            return False
        return (self._rung + 1 == len(self.budgets)
                or not self._scores[self._rung])


class Asha(_Rungs):
    """Asynchronous successive halving (Li et al. 2020): whenever there is
    room, a trial among the best 1/factor of its rung so far is promoted, the
    highest rung first; else another setting starts. Never waits for a
    straggler.
    """

    name = "asha"

    def __init__(self, *args, **keywords) -> None:
        super().__init__(*args, **keywords)
        self._promoted: list[set[int]] = [set() for _ in self.budgets]

    def next(self) -> Job | None:
        """See Grid."""
        found = self._promotable()
        if found is None:
            return self._start_one()
        trial, rung = found
        self._promoted[rung].add(trial)
        return self._job(trial, rung + 1)

    def _promotable(self) -> tuple[int, int] | None:
        for rung in reversed(range(len(self.budgets) - 1)):
            room = len(self._scores[rung]) // self.factor
            for trial in self._best_of(rung, room):
                if trial not in self._promoted[rung]:
                    return trial, rung
        return None

    def tell(self, job: Job, score: float | None) -> None:
        """See Grid."""
        self._running -= 1
        if score is not None:
            self._scores[job.rung][job.trial] = score

    @property
    def done(self) -> bool:
        """See Grid."""
        return (not self._running and self._started == self.n
                and self._promotable() is None)


def _seed(seed: int | None) -> int:
    return random.SystemRandom().getrandbits(32) if seed is None else seed


def _draw_all(space: dict[str, Any], n: int, seed: int) -> list[dict]:
    if n < 1:
        raise ValueError("n must be at least 1")
    rng = random.Random(seed)
    return [draw(space, rng) for _ in range(n)]


def _plain(space: dict[str, Any]) -> dict[str, str]:
    return {name: name_of(domain) for name, domain in space.items()}
