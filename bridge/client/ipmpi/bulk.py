"""Bulk jobs, as their client sees them: what has come of each item so far.

One request, an `ipmpi_bulk_request`, has many items; replies tell of runs of
them, in whatever order engines end, until a last one. Who waits for items waits
on the group that their jobs belong to.

Threads: replies are taken on the client's I/O thread; readers are anywhere.
"""

from __future__ import annotations

import collections
import inspect
import threading
import time
from typing import Any

from ipyparallel import error
from ipyparallel.client.futures import MessageFuture

from .items import Items, load

_KNOWS_HEADERS = "header" in inspect.signature(MessageFuture).parameters


def message_future(msg_id: str, header: dict) -> MessageFuture:
    """A future of upstream's, which was simpler once."""
    if _KNOWS_HEADERS:
        return MessageFuture(msg_id, header=header)
    return MessageFuture(msg_id)


class Group:
    """Jobs whose items are waited for together."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.arrivals: collections.deque = collections.deque()
        """(job, first, end) of each run of items that is decided."""
        self.item_s = 0.0
        """About how long an item takes; 0: not measured."""


class Run:
    """Items that an engine reported together."""

    __slots__ = ("first", "engine", "times")

    def __init__(self, first: int, engine: dict, times) -> None:
        self.first = first
        self.engine = engine
        """Members of a task's metadata."""
        self.times = times
        """Of each task: items, when it started, seconds."""


class BulkFuture(MessageFuture):
    """A job: done when all its items are. The result is the list of results,
    with None where an item failed."""

    def __init__(self, msg_id: str, header: dict, count: int,
                 group: Group) -> None:
        if _KNOWS_HEADERS:
            super().__init__(msg_id, header=header)
        else:
            super().__init__(msg_id)
        self.count = count
        self.group = group
        self.results: list = [None] * count
        self.errors: dict[int, Exception] = {}
        self.decided = bytearray(count)
        self.n_decided = 0
        self.runs: list[Run] = []

    def take(self, content: dict, buffers: list, engine: dict) -> None:
        """What a reply tells of some items.

        engine: which one, as members of metadata
        """
        first, end = content["first"], content["end"]
        errors = [(a, b, error.unwrap_exception(told))
                  for a, b, told in content["errors"]]
        if buffers:
            try:
                self.results[first:end] = load(buffers[0], content["canned"])
            except Exception as exc:  # what engines have and we have not
                self.results[first:end] = [None] * (end - first)
                errors = [(first, end, exc)]
                content["retry"] = False
        with self.group.changed:
            self._note_time(content, end - first)
            if len(buffers) > 1:
                self.runs.append(Run(
                    first, engine, memoryview(bytes(buffers[1])).cast("d")))
            at = first
            for a, b, exc in sorted(errors, key=lambda told: told[0]):
                self._decide(at, a)
                if not content.get("retry"):
                    self.errors.update(dict.fromkeys(range(a, b), exc))
                    self._decide(a, b)
                at = b
            self._decide(at, end)
            self.group.changed.notify_all()

    def _note_time(self, content: dict, count: int) -> None:
        if content.get("spent") and count:
            item_s, group = content["spent"] / count, self.group
            group.item_s = (group.item_s + item_s) / 2 if group.item_s \
                else item_s

    def _decide(self, first: int, end: int) -> None:
        if first < end:
            self.decided[first:end] = b"\1" * (end - first)
            self.n_decided += end - first
            self.group.arrivals.append((self, first, end))

    def finish(self, failure: Exception | None) -> None:
        """The last reply: what no other told of has failed so."""
        with self.group.changed:
            at = self.decided.find(0)
            while at >= 0:
                end = self.decided.find(1, at)
                end = self.count if end < 0 else end
                self.errors.update(dict.fromkeys(range(at, end), failure))
                self._decide(at, end)
                at = self.decided.find(0, end)
            self.group.changed.notify_all()

    def wait_for(self, index: int) -> None:
        """Returns when the item is decided."""
        if not self.decided[index]:
            with self.group.changed:
                while not self.decided[index]:
                    self.group.changed.wait()

    def item(self, index: int, return_exceptions: bool, name: str) -> Any:
        """A decided item: its result, or its error."""
        if self.errors:
            failure = self.errors.get(index)
            if failure is not None and not return_exceptions:
                raise_failures([failure], name)
            if failure is not None:
                return failure
        return self.results[index]

    def outcomes(self) -> list:
        """Results, and exceptions in the places of items that failed."""
        outcomes = list(self.results)
        for index, failure in self.errors.items():
            outcomes[index] = failure
        return outcomes


def wait_until(condition: threading.Condition, deadline: float | None) -> None:
    """One wait; TimeoutError if it is too late."""
    left = None if deadline is None else deadline - time.monotonic()
    if left is not None and left <= 0:
        raise TimeoutError("Result not ready.")
    condition.wait(left)


def raise_failures(failures: list[Exception], name: str) -> None:
    """As ipyparallel does: errors of engines as one CompositeError."""
    error.collect_exceptions(failures, name)
    if failures:  # not of an engine: aborted, or not to be unpickled here
        raise failures[0]


def request_content(items: Items, star: bool, item_s: float) -> dict:
    """The content of an ipmpi_bulk_request."""
    return {"items": len(items), "unit": items.unit, "chunk": items.chunk,
            "item_us": item_s * 1e6,
            "call": {"canned": items.canned, "star": star}}
