"""The items of a bulk job, as they travel: units of items, pickled one by one,
and a table of where each begins, so that the controller can hand out any range
of them without looking inside.
"""

from __future__ import annotations

import array
import io
import pickle
import sys
from types import FunctionType
from typing import Any, Iterator, Sequence

from ipyparallel.serialize import canning
from ipyparallel.serialize import serialize

UNIT_ITEMS = 256
"""No unit has more items: the pieces of slow ones share it."""

UNIT_BYTES = 8192
"""About how large a unit may get; larger items are units of their own."""

UNITS = 256
"""How many units there should be at least."""

MESSAGE_BYTES = 32 << 20
"""About how large a message may get; more items are sent in several."""


class _NeedsCanning(Exception):
    """Something is among the items that pickle alone would not do."""


class _Pickler(pickle.Pickler):
    """Stops at what ipyparallel cans: functions, and what __main__ defines."""

    def reducer_override(self, obj):
        if (isinstance(obj, (FunctionType, memoryview, canning.CannedObject))
                or isinstance(obj, type) and obj.__module__ == "__main__"):
            raise _NeedsCanning
        return NotImplemented


class Items:
    """Packed items [first, end) of a sequence.

    sequence: what can be sliced; its slices are what engines iterate over
    chunk:    items that are one task; 0: as the controller sees fit
    """

    def __init__(self, sequence: Sequence, chunk: int, first: int = 0) -> None:
        self.chunk = chunk
        self.unit = chunk or _choose_unit(sequence, first)
        self.first = first
        self.canned = serialize.pickle is not pickle
        try:
            self._pack(sequence)
        except _NeedsCanning:
            self.canned = True
            self._pack(sequence)

    def _pack(self, sequence: Sequence) -> None:
        out = io.BytesIO()
        pickler = _Pickler(out, pickle.HIGHEST_PROTOCOL)
        table = array.array("Q", [0])
        end = len(sequence)
        for at in range(self.first, end, self.unit):
            unit = sequence[at:at + self.unit]
            if self.canned:
                out.write(_dump_canned(unit))
            else:
                pickler.dump(unit)
                pickler.clear_memo()
            size = out.tell()
            table.append(size)
            if size > MESSAGE_BYTES:
                end = min(at + self.unit, end)
                break
        self.end = end
        self.buffers = [memoryview(table).cast("B"), out.getbuffer()]
        self.bytes = size

    def __len__(self) -> int:
        return self.end - self.first


def pack(sequence: Sequence, chunk: int) -> Iterator[Items]:
    """All items, in as many messages as they need."""
    first = 0
    while first < len(sequence):
        items = Items(sequence, chunk, first)
        yield items
        first = items.end


def _choose_unit(sequence: Sequence, first: int) -> int:
    """Items that are cheap to unpickle together, and not so many that engines
    have to share units for want of them."""
    try:
        size = len(pickle.dumps(sequence[first:first + 1],
                                pickle.HIGHEST_PROTOCOL))
    except Exception:  # canning will do, or tell
        size = UNIT_BYTES
    return max(1, min(UNIT_ITEMS, len(sequence) // UNITS,
                      UNIT_BYTES // max(size, 1)))


def _dump_canned(unit: Sequence) -> bytes:
    canned = [canning.can_sequence(item) if type(item) is tuple
              else canning.can(item) for item in unit]
    for item in canned:  # buffers stay inside, but as bytes
        for part in item if type(item) is tuple else (item,):
            serialize._extract_buffers(part, sys.maxsize)
    return serialize.pickle.dumps(canned, pickle.HIGHEST_PROTOCOL)


def load(data, canned: bool) -> list:
    """Results, as an engine packed them."""
    if not canned:
        return pickle.loads(data)
    return [canning.uncan(result) for result in serialize.pickle.loads(data)]


def as_sequence(sequences: tuple) -> tuple[Sequence, bool]:
    """(what can be sliced, whether its items are tuples of arguments). Several
    sequences end with the shortest."""
    if len(sequences) > 1:
        return list(zip(*sequences)), True
    (sequence,) = sequences
    numpy = sys.modules.get("numpy")
    if type(sequence) in (list, range) or (
            numpy is not None and type(sequence) is numpy.ndarray
            and sequence.ndim and not sequence.dtype.hasobject):
        return sequence, False
    return list(sequence), False
