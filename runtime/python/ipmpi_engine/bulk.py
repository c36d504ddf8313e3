"""A piece of a bulk job: one function over many items, in a tight loop.

What a piece looks like, and what is reported of it, is told in
bridge/schedulers/bulk.h. Items run in slices, so that the clock is read and the
client heard of every millisecond or so, and not for each item; an item that
fails ends its slice, and the next goes on behind it. Results that are 50 ms old
are reported while the rest runs. A piece that takes too long hands its rest
back: the items were slower than those before them.

Threads: main only.
"""

from __future__ import annotations

import array
import io
import itertools
import json
import pickle
import sys
import time
import traceback
from types import FunctionType
from typing import Any

import _ipmpi
from ipyparallel.serialize import canning, serialize

from . import errors
from .session import pack

REPORT_S = 0.05
"""How old a result may get before it is reported."""

SLICE_S = 0.001
"""How long a slice should take."""

FULL_REPORTS = 8
"""Errors of a piece that get IPython's long traceback; it takes milliseconds."""

KEPT_FUNCTIONS = 8

_functions: dict[int, Any] = {}
"""Functions of the last jobs: the pieces of a job share one."""


def run(kernel, ref: int, content: bytes, buffers: list) -> None:
    """Runs one piece to its reply. Whatever user code raises is reported as
    the error of an item."""
    piece = _Piece(kernel, ref, json.loads(content), buffers)
    interrupts = kernel.interrupts
    while True:
        try:
            try:
                interrupts.arm()
                piece.go_on()
            finally:
                interrupts.disarm()
            break
        except BaseException as exc:  # an interrupt between two items
            interrupts.disarm()
            piece.fail(exc)
    piece.report(last=True)


class _Piece:
    """Its items, and what has come of them so far."""

    def __init__(self, kernel, ref: int, told: dict, buffers: list) -> None:
        self._kernel = kernel
        self._ref = ref
        self._told = told
        self._buffers = buffers
        self._chunk = told["chunk"]
        self._first = told["first"]  # of what the next report tells
        self._end = told["end"]
        self._limit = time.monotonic() + told["limit_us"] / 1e6
        self._shown = 0
        self._step = self._chunk or 1
        self._clear()

    def _clear(self) -> None:
        self._results: list = []
        self._errors: list = []
        self._times = array.array("d")  # items, wall clock, seconds; ..
        self._reported = time.monotonic()

    @property
    def _at(self) -> int:
        """The next item."""
        return self._first + len(self._results)

    def go_on(self) -> None:
        """Runs items until there are none, or the rest is not ours any more."""
        told = self._told
        table = self._buffers[0].cast("B").cast("Q")
        _ipmpi.note_step(self._at + 1)  # unpacking may end us, too
        try:
            call = _caller(told, self._buffers[2:], self._kernel.shell.user_ns)
        except Exception as exc:
            self.fail(exc, self._end)
            return
        while self._at < self._end:
            unit = (self._at - told["start"]) // told["unit"]
            begin = told["start"] + unit * told["unit"]
            data = self._buffers[1][table[unit] - table[0]:
                                    table[unit + 1] - table[0]]
            try:
                _ipmpi.note_step(self._at + 1)
                items = self._load(data)
            except Exception as exc:
                self.fail(exc, min(begin + told["unit"], self._end))
                continue
            if not self._run_unit(call, items, begin):
                return

    def _load(self, data) -> Any:
        if not self._told["call"]["canned"]:
            return pickle.loads(data)
        user_ns = self._kernel.shell.user_ns
        return [canning.uncan_sequence(item, user_ns) if type(item) is tuple
                else canning.uncan(item, user_ns)
                for item in serialize.pickle.loads(data)]

    def _run_unit(self, call, items, begin: int) -> bool:
        """Runs the rest of a unit. False: the piece ends here. A chunk is
        never handed back half done."""
        end = min(begin + len(items), self._end)
        while self._at < end:
            at = self._at
            stop = end if self._chunk else min(end, at + self._step)
            self._run_slice(call, items[at - begin:stop - begin])
            if self._is_over() and not (self._chunk and self._at < end):
                return False
        return True

    def _run_slice(self, call, items) -> None:
        """Runs items up to the first that fails."""
        results, want = self._results, self._at + len(items)
        _ipmpi.note_step(want)
        date, start = time.time(), time.perf_counter()
        try:
            results.extend(call(items))
            failure = None
        except BaseException as exc:
            failure = exc
        spent = time.perf_counter() - start
        if failure is None and self._at < want:  # it ended the loop quietly
            failure = StopIteration()
        done = self._at + (failure is not None) - (want - len(items))
        self._times.extend((done, date, spent))
        if failure is not None:
            self.fail(failure)
        elif not self._chunk:
            self._adapt(spent)

    def _adapt(self, spent: float) -> None:
        if spent < SLICE_S / 2:
            self._step *= 2
        elif spent > SLICE_S * 2:
            self._step = max(1, int(self._step * SLICE_S / spent))

    def _is_over(self) -> bool:
        """Reports what is due. Whether the rest is to be handed back."""
        now = time.monotonic()
        if now - self._reported > REPORT_S and self._at < self._end:
            self.report()
        return now > self._limit or _ipmpi.why_cancelled() is not None

    def fail(self, exc: BaseException, end: int | None = None) -> None:
        """The next item, or those up to `end`, have failed."""
        first = self._at
        end = first + 1 if end is None else end
        if first >= self._end:
            return
        self._errors.append([first, end, self._describe(exc)])
        self._results.extend([None] * (end - first))

    def _describe(self, exc: BaseException) -> dict:
        self._shown += 1
        tb = exc.__traceback__
        while (tb is not None and tb.tb_next is not None
               and tb.tb_frame.f_code.co_filename == __file__):
            tb = tb.tb_next
        try:
            if self._shown > FULL_REPORTS:
                lines = traceback.format_exception(type(exc), exc, tb)
            else:
                lines = self._kernel.shell.InteractiveTB.structured_traceback(
                    type(exc), exc, tb, tb_offset=0)
        except Exception:
            lines = [type(exc).__name__]
        return errors.error_content(self._kernel, exc, lines, "apply")

    def report(self, last: bool = False) -> None:
        """Tells of the results so far; no interrupt may come between."""
        self._kernel.interrupts.disarm()
        canned, data = self._pack_results()
        content = {"status": "ok", "first": self._first, "end": self._at,
                   "spent": sum(self._times[2::3]), "errors": self._errors,
                   "retry": self._told["retry"], "canned": canned}
        buffers = [data, self._times]
        self._first = self._at
        self._clear()
        if last:  # a forked child of user code goes here
            self._kernel.reply(self._ref, _ipmpi.OK, pack(content), buffers)
            return
        _ipmpi.reply_part(self._ref, pack(content), buffers)
        self._kernel.interrupts.arm()

    def _pack_results(self) -> tuple[bool, bytes]:
        try:
            return dumps(self._results)
        except Exception:
            pass
        for i, result in enumerate(self._results):  # which of them is it?
            try:
                dumps([result])
            except Exception as exc:
                at = self._first + i
                self._results[i] = None
                self._errors.append([at, at + 1, self._describe(exc)])
        return dumps(self._results)


def _caller(told: dict, buffers: list, user_ns: dict):
    """From items to an iterator of results."""
    f = _functions.get(told["job"])
    if f is None:
        f, _, _ = serialize.unpack_apply_message(buffers, user_ns, copy=False)
        while len(_functions) >= KEPT_FUNCTIONS:
            del _functions[next(iter(_functions))]
        _functions[told["job"]] = f
    if told["call"]["star"]:
        return lambda items: itertools.starmap(f, items)
    return lambda items: map(f, items)


class _NeedsCanning(Exception):
    """Something is among the objects that pickle alone would not do."""


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj):
        if (isinstance(obj, (FunctionType, memoryview, canning.CannedObject))
                or isinstance(obj, type) and obj.__module__ == "__main__"):
            raise _NeedsCanning
        return NotImplemented


def dumps(items: list) -> tuple[bool, bytes]:
    """(whether they are canned, the pickle)"""
    if serialize.pickle is pickle:
        out = io.BytesIO()
        try:
            _Pickler(out, pickle.HIGHEST_PROTOCOL).dump(items)
            return False, out.getvalue()
        except _NeedsCanning:
            pass
    canned = [canning.can(item) for item in items]
    for item in canned:  # buffers stay inside, but as bytes
        serialize._extract_buffers(item, sys.maxsize)
    return True, serialize.pickle.dumps(canned, pickle.HIGHEST_PROTOCOL)
