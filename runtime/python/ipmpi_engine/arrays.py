"""Values as bytes: numpy arrays as they lie in memory, anything else pickled;
and arrays that all engines of a node share.

A shared array is one copy in memory, whatever the number of engines on the
node. One that was broadcast cannot be written to; of a reduced one each engine
has for itself the pages that it writes to. It is freed when the last name on the last
engine is gone, and the kernel frees it if engines die.

Threads: main only.
"""

from __future__ import annotations

import pickle
import sys
from typing import Any

import _ipmpi

SHARE_FROM = _ipmpi.share_from
"""From this size on (in bytes) a broadcast array is shared."""


def writable(name: str):
    """Makes the array `name` of the user's namespace one that can be written
    to, and returns it: a private copy if it is shared (or otherwise read-only),
    itself if it is not."""
    names = sys.modules["IPython"].get_ipython().user_ns
    array = names[name]
    if not array.flags.writeable:
        array = names[name] = array.copy()
    return array


def share(array, told: dict, root: int, nodes: list[str]):
    """Broadcasts the root's array (None elsewhere) of which it `told`, one
    copy for each node; `nodes` says where the members are. All members call
    this, the root included; it returns the shared array."""
    view = _ipmpi.collective_share(
        None if array is None else raw(contiguous(array)), size_of(told), root,
        _numbered(nodes))
    return restore(told, view)


def reduce_shared(array, number: str, op: str, nodes: list[str]):
    """An allreduce of all members' arrays, of which each node has one result
    until it is written to. `number`: see _ipmpi.collective_can."""
    view = _ipmpi.collective_reduce_shared(raw(contiguous(array)), number, op,
                                           _numbered(nodes))
    return restore(describe(array), view)


def _numbered(nodes: list[str]) -> list[int]:
    return [nodes.index(node) for node in nodes]


def numpy_module():
    import numpy

    return numpy


def is_array(value: Any) -> bool:
    """An array whose memory says all: no subclass, no references in it."""
    numpy = sys.modules.get("numpy")
    return (numpy is not None and type(value) is numpy.ndarray
            and not value.dtype.hasobject and value.dtype.names is None
            and value.dtype.itemsize > 0 and value.dtype.subdtype is None)


def describe(value: Any) -> dict:
    if is_array(value):
        return {"kind": "array", "dtype": value.dtype.str,
                "shape": list(value.shape)}
    return {"kind": "object", "type": type(value).__name__[:64]}


def raw(array):
    """The bytes of a contiguous array, as an array of bytes; no copy."""
    return array.reshape(-1).view(numpy_module().uint8)


def contiguous(array):
    return numpy_module().asarray(array, order="C")


def empty(told: dict, shape=None):
    return numpy_module().empty(told["shape"] if shape is None else shape,
                                told["dtype"])


def size_of(told: dict) -> int:
    """The size of the array that was told of."""
    size = numpy_module().dtype(told["dtype"]).itemsize
    for length in told["shape"]:
        size *= length
    return size


def pickled(value: Any) -> bytes:
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


def restore(told: dict, data) -> Any:
    if told["kind"] == "object":
        return pickle.loads(data)
    if len(data) == 0:  # numpy makes no array of an empty buffer
        return empty(told)
    return numpy_module().frombuffer(data, told["dtype"]).reshape(told["shape"])
