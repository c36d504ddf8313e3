"""Results of maps that were sent as a whole."""

from __future__ import annotations

import concurrent.futures
import datetime
import itertools
import time
from typing import Any, Iterator

from ipyparallel import AsyncMapResult
from ipyparallel.client import map as upstream_map

from .bulk import BulkFuture, Group, raise_failures, wait_until

_OF_TASKS = ("engine_id", "engine_uuid", "started", "completed", "status")
"""Metadata that each task has of its own; the rest is the job's."""


class BulkMapResult(AsyncMapResult):
    """An AsyncMapResult that knows each item as soon as it is done.

    Failures, progress and length count items. `metadata`, and its members as
    attributes, have one entry for each task: an item, a chunk, or what an
    engine did in a row if chunks were not asked for. Output (`stdout`, ..) is
    the whole map's, in one string.
    """

    def __init__(self, client, jobs: list[BulkFuture], group: Group,
                 fname: str, ordered: bool, return_exceptions: bool) -> None:
        self._group = group
        super().__init__(client, jobs, upstream_map.Map(), fname=fname,
                         ordered=ordered, return_exceptions=return_exceptions)

    def __len__(self) -> int:
        return sum(job.count for job in self._children)

    @property
    def progress(self) -> int:
        """How many items are done."""
        return sum(job.n_decided for job in self._children)

    def _failures(self) -> list[Exception]:
        failures: dict[int, Exception] = {}  # one died engine fails thousands
        for job in self._children:
            for index in sorted(job.errors):
                failures.setdefault(id(job.errors[index]), job.errors[index])
        return list(failures.values())

    def _resolve_result(self, f=None) -> None:
        if self.done():
            return
        self._raw_results = self._children
        failures = [] if self._return_exceptions else self._failures()
        try:
            raise_failures(failures, self._fname)
        except Exception as exc:
            self._success = False
            self.set_exception(exc)
        else:
            self._success = True
            self.set_result(self._reconstruct_result(self._children))

    def _reconstruct_result(self, jobs: list[BulkFuture]) -> list:
        return list(itertools.chain.from_iterable(
            job.outcomes() if job.errors else job.results for job in jobs))

    def get(self, timeout=None, return_exceptions=None, return_when=None):
        """As AsyncResult.get. With return_when=FIRST_EXCEPTION it raises as
        soon as an item has failed."""
        if return_when == concurrent.futures.FIRST_EXCEPTION:
            self._await_failure(timeout)
            timeout = 0
        return super().get(timeout, return_exceptions)

    def _await_failure(self, timeout: float | None) -> None:
        deadline = None if timeout is None or timeout < 0 \
            else time.monotonic() + timeout
        with self._group.changed:
            while self.progress < len(self):
                if not self._return_exceptions:
                    raise_failures(self._failures(), self._fname)
                wait_until(self._group.changed, deadline)
        self.wait()

    def _ordered_iter(self) -> Iterator[Any]:
        for job in self._children:
            for index in range(job.count):
                job.wait_for(index)
                yield job.item(index, self._return_exceptions, self._fname)
        self.wait()  # for the last word, which follows at once

    def _unordered_iter(self) -> Iterator[Any]:
        group, seen, total = self._group, 0, len(self)
        for at in itertools.count():
            if seen == total:
                self.wait()
                return
            with group.changed:
                while len(group.arrivals) <= at:
                    group.changed.wait()
                job, first, end = group.arrivals[at]
            seen += end - first
            for index in range(first, end):
                yield job.item(index, self._return_exceptions, self._fname)

    # ---- metadata -------------------------------------------------------

    @property
    def metadata(self) -> list[dict]:
        self._parse_metadata_dates()
        return [task for job, own in zip(self._children, self._metadata)
                for task in self._tasks(job, own)]

    def _tasks(self, job: BulkFuture, own: dict) -> list[dict]:
        tasks = []
        with self._group.changed:
            runs = sorted(job.runs, key=lambda run: run.first)
        for run in runs:
            at = run.first
            for i in range(0, len(run.times), 3):
                count, began, spent = run.times[i:i + 3]
                began = datetime.datetime.fromtimestamp(
                    began, datetime.timezone.utc)
                failed = any(j in job.errors
                             for j in range(at, at + int(count))) \
                    if job.errors else False
                tasks.append(dict(
                    own, **run.engine, started=began, status="error" if failed else "ok",
                    completed=began + datetime.timedelta(seconds=spent)))
                at += int(count)
        return tasks

    def __getitem__(self, key):
        if isinstance(key, str) and key in _OF_TASKS:
            self.wait(0)
            return [task[key] for task in self.metadata]
        return super().__getitem__(key)

    @property
    def serial_time(self) -> float:
        """Seconds that engines spent in the function."""
        self._check_ready()
        return sum(sum(run.times[2::3]) for job in self._children
                   for run in job.runs)

    def display_outputs(self, groupby="type", result_only=False) -> None:
        """Republishes what was printed."""
        self.wait_for_output()
        if not result_only:
            for own in self._metadata:
                self._display_stream(own["stdout"])
                self._display_stream(own["stderr"])
