"""Runs a search on a cluster: as many jobs at once as there are engines,
each score told to the search as it arrives.

The runner lives in the caller's thread; the client's own thread only puts
finished jobs into a queue.
"""

from __future__ import annotations

import math
import queue
import sys
import time
from typing import Any, Callable

from ipyparallel.error import CompositeError, EngineError, RemoteError

from .journal import Journal
from .progress import Line
from .results import Record, Results
from .searches import Job

WAKE_SECONDS = 0.5  # how often progress is shown and engines are counted


class SweepError(RuntimeError):
    """No engines, or nothing but failures."""


class Sweep:
    """A function, a search, and a cluster to run them on.

    function: called on engines with the setting's names as keywords, with
              `budget=` if the search has budgets, and with `state=` if an
              earlier, smaller run of the trial returned one (in this
              process: states are in no journal). Returns the score (a
              number), or a dict with the score under `metric`, a "state" to
              go on from (anything that pickles), and whatever else shall be
              in the results (plain values).
    cluster:  an ipyparallel Client, or a load-balanced view of one
    metric:   the score's name in a dict
    mode:     "max" or "min": which scores are better
    journal:  a file to go on from; see journal.py
    retries:  how often a job may run again after its engine died
    slots:    jobs in flight; default: as many as the view has engines
    progress: True writes a line to stderr; or a function that takes the
              Record just found and the number of jobs in flight, and whose
              end(), if it has one, is called last; or None
    """

    def __init__(self, function: Callable, search, cluster, *,
                 metric: str = "score", mode: str = "max", journal=None,
                 retries: int = 1, slots: int | None = None,
                 progress=True) -> None:
        if mode not in ("max", "min"):
            raise ValueError(f'mode is "max" or "min", not {mode!r}')
        if slots is not None and slots < 1:
            raise ValueError("slots must be at least 1")
        self.function, self.metric = function, metric
        self.sign = 1 if mode == "max" else -1
        self.view = (cluster.load_balanced_view()
                     if hasattr(cluster, "load_balanced_view") else cluster)
        self.retries, self.slots = retries, slots
        self._progress = (Line(sys.stderr, self.sign, search.total)
                          if progress is True
                          else progress or (lambda record, flying: None))
        self.journal = Journal(journal, {**search.describe(),
                                         "metric": metric, "mode": mode})
        if self.journal.seed is not None and self.journal.seed != search.seed:
            search = search.reseeded(self.journal.seed)
        self.search = search
        self.records: list[Record] = []
        self._done: queue.SimpleQueue = queue.SimpleQueue()
        self._flying: dict[Any, tuple[Job, int]] = {}
        self._states: dict[int, Any] = {}

    def run(self) -> Results:
        """Runs to the end, or to Ctrl-C, which drops what is in flight: run
        again with the same journal to go on. SweepError; BlockingIOError:
        another sweep writes to the journal."""
        self.journal.open(self.search.seed)
        try:
            while not self.search.done:
                self._launch()
                self._take()
        except BaseException:
            self._abandon()
            raise
        finally:
            self.journal.close()
            getattr(self._progress, "end", lambda: None)()
        if self.records and all(r.score is None for r in self.records):
            raise SweepError("every job failed; the last one with: "
                             + self.records[-1].error)
        return self.results

    @property
    def results(self) -> Results:
        """What has come back so far."""
        return Results(list(self.records), self.sign)

    # -- out ---------------------------------------------------------------

    def _room(self) -> int:
        if self.slots is not None:
            return self.slots
        targets = self.view.targets
        return len(self.view.client.ids if targets is None else targets)

    def _launch(self) -> None:
        while len(self._flying) < self._room():
            job = self.search.next()
            if job is None:
                return
            known = self.journal.known(job)
            if known is not None:
                self._decide(job, Record(**{**known, "params": job.params}),
                             new=False)
            else:
                self._submit(job, self.retries)

    def _submit(self, job: Job, retries: int) -> None:
        keywords = dict(job.params)
        if job.budget is not None:
            keywords["budget"] = job.budget
        if job.trial in self._states:
            keywords["state"] = self._states[job.trial]
        result = self.view.apply_async(self.function, **keywords)
        self._flying[result] = (job, retries)
        result.add_done_callback(self._done.put)

    # -- in ----------------------------------------------------------------

    def _take(self) -> None:
        """Waits a while for one job, then takes all that are there."""
        if not self._flying:
            if not self.search.done and self._room() == 0:
                self._wait_for_engines()
            return
        try:
            self._finish(self._done.get(timeout=WAKE_SECONDS))
            while True:
                self._finish(self._done.get_nowait())
        except queue.Empty:
            pass

    def _wait_for_engines(self, seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while self._room() == 0:
            if time.monotonic() > end:
                raise SweepError(f"no engines for {seconds:g} s")
            time.sleep(WAKE_SECONDS)

    def _finish(self, result) -> None:
        job, retries = self._flying.pop(result)
        try:
            answer = result.get(0)
            error = ""
        except Exception as problem:
            if _engine_died(problem) and retries > 0:
                self._submit(job, retries - 1)
                return
            answer, error = None, _words(problem)
        self._decide(job, self._record(job, result, answer, error), new=True)

    def _record(self, job: Job, result, answer, error: str) -> Record:
        score, metrics = None, {}
        if not error:
            score, metrics, error = self._understand(job, answer)
        began = _meta(result, "started")
        ended = _meta(result, "completed")
        seconds = ((ended - began).total_seconds()
                   if began and ended else 0.0)
        return Record(job.trial, job.params, job.rung, job.budget, score,
                      metrics, seconds, _meta(result, "engine_id"), error)

    def _understand(self, job: Job, answer) -> tuple:
        metrics: dict[str, Any] = {}
        if isinstance(answer, dict):
            metrics = dict(answer)
            if "state" in metrics:
                self._states[job.trial] = metrics.pop("state")
            answer = metrics.pop(self.metric, None)
        try:
            score = float(answer)
        except (TypeError, ValueError):
            return None, metrics, f"no score: {answer!r:.100}"
        if math.isnan(score):
            return None, metrics, "the score is not a number"
        return score, metrics, ""

    def _decide(self, job: Job, record: Record, new: bool) -> None:
        self.records.append(record)
        if new:
            self.journal.add(vars(record))
        self.search.tell(job, None if record.score is None
                         else self.sign * record.score)
        self._progress(record, len(self._flying))

    def _abandon(self) -> None:
        for result in list(self._flying):
            try:
                result.abort()
            except Exception:
                pass  # it is done, or the cluster is gone
        self._flying.clear()


def _meta(result, name: str):
    value = result.metadata
    if isinstance(value, list):
        value = value[0]
    return value.get(name)


def _first(problem: Exception) -> Exception:
    if isinstance(problem, CompositeError) and problem.elist:
        ename, evalue = problem.elist[0][:2]
        return RemoteError(ename, evalue, "", None)
    return problem


def _engine_died(problem: Exception) -> bool:
    problem = _first(problem)
    return (isinstance(problem, EngineError)
            or getattr(problem, "ename", "") == "EngineError")


def _words(problem: Exception) -> str:
    problem = _first(problem)
    if isinstance(problem, RemoteError):
        return f"{problem.ename}: {problem.evalue}"
    return f"{type(problem).__name__}: {problem}"
