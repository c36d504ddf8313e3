"""The table of tests/bench/run: a row for each measure, a column for each
side, how much better ipmpi is than ipyparallel, and whether a goal is met."""

from __future__ import annotations

import time
import traceback

COLUMNS = {"ipmpi": "ipmpi", "upstream": "ipyparallel", "bare MPI": "bare MPI",
           "dask": "Dask", "mpi4py": "mpi4py.f.", "pool": "Pool"}

#: What the project has set itself: values by row, and start-up as a multiple
#: of the bare MPI job's.
GOALS = {"controller resident MB": 30, "engine private MB": 15,
         "idle, 64 ranks: % of a core": 0.5,
         "generator, 200 in flight tasks/s": 50_000,
         "generator, 1 in flight p50 us": 150,
         "map, chunk 1 tasks/s": 50_000,
         "map, best chunk items/s": 1_000_000,
         "map, tasks of 1 ms: efficiency": 0.95,
         "no-op, chunk 1: % of cpu not the client's": 15,
         "a task's time: 1e5 tasks / 1e3 tasks": 1.1,
         "a task's time: 1e6 tasks / 1e3 tasks": 1.1}
READY_GOAL = 1.5
ALLREDUCE_GOAL = 1.2


def more_is_better(name: str) -> bool:
    return name.endswith(("tasks/s", "items/s", "efficiency"))


class Table:
    """Rows of name -> side -> value; a side that failed is None."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, float | None]] = {}
        self.failures: list[str] = []

    def add(self, side: str, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.rows.setdefault(name, {})[side] = value
            print(f"   {side:<10}{name:<46}{value:>12.3f}", flush=True)

    def measure(self, side: str, what: str, call) -> None:
        """Adds what `call` returns, or notes that it failed."""
        print(f"{time.strftime('%H:%M:%S')} {what}, {side}", flush=True)
        try:
            self.add(side, call())
        except Exception as error:
            traceback.print_exc()
            self.failures.append(f"{what}, {side}: {error!r}"[:300])

    def columns(self) -> list[str]:
        return [side for side in COLUMNS
                if any(side in row for row in self.rows.values())]

    def verdict(self, name: str, row: dict) -> str:
        ours, bare = row.get("ipmpi"), row.get("bare MPI")
        if ours and bare:
            goal = ALLREDUCE_GOAL if "allreduce" in name else READY_GOAL
            met = "met" if ours / bare <= goal else "missed"
            return f"  {ours / bare:.2f}x bare (goal {goal}): {met}"
        if name not in GOALS or ours is None:
            return ""
        goal = GOALS[name]
        good = ours >= goal if more_is_better(name) else ours <= goal
        return f"  goal {goal:,}: {'met' if good else 'missed'}"

    def line(self, name: str, row: dict) -> str:
        ours, theirs = row.get("ipmpi"), row.get("upstream")
        text = f"{name:<46}"
        for side in self.columns():
            value = row.get(side)
            text += f"{value:>12.3f}" if value is not None else " " * 11 + "-"
        ratio = 0.0
        if ours and theirs:
            ratio = ours / theirs if more_is_better(name) else theirs / ours
        text += f"{ratio:>11.1f}x" if ratio else " " * 11 + "-"
        return text + self.verdict(name, row)

    def show(self) -> None:
        heads = "".join(f"{COLUMNS[side]:>12}" for side in self.columns())
        print(f"\n{'':<46}{heads}{'better by':>12}")
        for name, row in self.rows.items():
            print(self.line(name, row))
        print("ready: from mpirun to the ready line; bare MPI: a whole job "
              "of MPI_Init and MPI_Finalize.\nidle: ipyparallel with 32 "
              "engines, since 63 take more than 8 GB.\nbetter by: than "
              "ipyparallel.")
        for failure in self.failures:
            print(f"FAILED {failure}")
