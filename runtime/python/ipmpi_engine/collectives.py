"""Collectives over names in the engines' namespaces, as a client asks for them.

All engines of a group run the same verb at the same time, by MPI. Each verb
has three steps, and whoever fails in one of them raises; rank 0 then tells the
others why, and their wait ends with a CollectiveError.

1. Describe and agree: everyone looks at its own value, and all exchange what
   they found. What does not fit together fails on all, with the same words.
2. Move the data: arrays as they lie in memory, other objects pickled.
3. Commit: a barrier. Only then is a name bound, so that a name changes on all
   engines or (but for an engine that dies at this very moment) on none.

Threads: main only.
"""

from __future__ import annotations

import functools
import json
import operator
import pickle
import sys
from typing import Any, Callable

import _ipmpi

from .arrays import (SHARE_FROM, contiguous, describe, empty, is_array,
                     numpy_module, pickled, raw, reduce_shared, restore, share, size_of)

_MIN_DESCRIPTION = 512  # bytes of what one engine tells of its value
_PER_ENGINE = 24        # more bytes for each engine of the group

_FOLDS = {
    "sum": operator.add, "prod": operator.mul,
    "min": lambda a, b: b if b < a else a,
    "max": lambda a, b: b if b > a else a,
    "land": lambda a, b: bool(a) and bool(b),
    "lor": lambda a, b: bool(a) or bool(b),
    "lxor": lambda a, b: bool(a) != bool(b),
    "band": operator.and_, "bor": operator.or_, "bxor": operator.xor,
}
_UFUNCS = {
    "sum": "add", "prod": "multiply", "min": "minimum", "max": "maximum",
    "land": "logical_and", "lor": "logical_or", "lxor": "logical_xor",
    "band": "bitwise_and", "bor": "bitwise_or", "bxor": "bitwise_xor",
}


class CollectiveError(RuntimeError):
    """A collective failed on all engines; the text names one and its reason."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows. It needs some tenths of a second for a traceback,
        on each engine, and the frames are all ours."""
        return _shown(self)


def run(verb: str, engines: list[int], number: int, **arguments) -> None:
    """Takes part in one collective.

    engines: ids of all members, in the group's order; roots are places in it
    number:  the same on all members, another for each collective
    """
    _ipmpi.collective_open(engines, number)
    try:
        _VERBS[verb](_Group(engines), **arguments)
    except ConnectionAbortedError as error:
        raise CollectiveError(str(error)) from None
    except Exception as error:
        if _is_ours(error):  # the others wait for its text
            shown = _shown(error)
            error._render_traceback_ = lambda: shown
        raise
    finally:
        _ipmpi.collective_close()


def _shown(error: Exception) -> list[str]:
    return [f"{type(error).__name__}: {error}"]


def _is_ours(error: Exception) -> bool:
    """Whether it was raised here, and not by code of the user's."""
    tb = error.__traceback__
    while tb.tb_next is not None:
        tb = tb.tb_next
    return tb.tb_frame.f_globals.get("__package__") == __package__


class _Group:
    """The members, what they told of themselves, and who we are among them."""

    def __init__(self, engines: list[int]) -> None:
        shell = sys.modules["IPython"].get_ipython()
        self.names: dict[str, Any] = shell.user_ns
        self.engines = engines
        self.size = len(engines)
        self.me = engines.index(shell.kernel.engine_id)

    def value(self, name: str) -> Any:
        try:
            return self.names[name]
        except KeyError:
            raise NameError(f"name {name!r} is not defined") from None

    def agree(self, mine: dict) -> list[dict]:
        """What each member tells of itself, in the group's order."""
        room = _MIN_DESCRIPTION + _PER_ENGINE * self.size
        text = json.dumps(mine, separators=(",", ":")).encode()
        if len(text) > room:
            raise ValueError("too many dimensions, or too large")
        everyone = _ipmpi.collective_agree(text.ljust(room))
        return [json.loads(everyone[i:i + room])
                for i in range(0, len(everyone), room)]

    def commit(self) -> None:
        """Returns when all members have all that they need."""
        _ipmpi.collective("barrier")

    def fail(self, member: int, reason: str) -> None:
        raise CollectiveError(f"engine {self.engines[member]}: {reason}")

    def same(self, told: list[dict], key: str) -> None:
        """Fails, naming the first that differs from the first member."""
        for i, other in enumerate(told):
            if other.get(key) != told[0].get(key):
                self.fail(i, f"has {_words(other)}, but engine "
                             f"{self.engines[0]} has {_words(told[0])}")


def _words(told: dict) -> str:
    if told["kind"] == "object":
        return f"an object of type {told['type']}"
    shape = "x".join(map(str, told["shape"])) or "no dimensions"
    return f"an array of {told['dtype']} with shape {shape}"


# ---- pieces ------------------------------------------------------------


def _even(length: int, parts: int) -> list[int]:
    """Lengths that differ by one at most, the longer ones first."""
    return [length // parts + (i < length % parts) for i in range(parts)]


def _cuts(counts: list[int]) -> list[slice]:
    cuts, at = [], 0
    for count in counts:
        cuts.append(slice(at, at + count))
        at += count
    return cuts


# ---- the verbs ----------------------------------------------------------


def _barrier(group: _Group) -> None:
    group.agree({})  # nobody knows all before all have come


def _bcast(group: _Group, name: str, root: int, into: str,
           shared: bool = True) -> None:
    mine, value, data = {"node": _ipmpi.node}, None, None
    if group.me == root:
        value = group.value(name)
        mine.update(describe(value))
        if mine["kind"] == "array":
            mine["shared"] = shared and value.nbytes >= SHARE_FROM
        else:
            data = bytearray(pickled(value))
            mine["bytes"] = len(data)
    everyone = group.agree(mine)
    told = everyone[root]
    if told["kind"] == "object":
        value = _bcast_object(group, value, data, told["bytes"], root)
    elif told["shared"]:
        value = share(value, told, root, [one["node"] for one in everyone])
    else:
        value = _bcast_array(group, value, told, root)
    group.commit()
    group.names[into] = value


def _bcast_object(group: _Group, value, data: bytearray | None, length: int,
                  root: int):
    if group.me != root:
        data = bytearray(length)
    _ipmpi.collective("bcast", None, data, root=root)
    return value if group.me == root else pickle.loads(data)


def _bcast_array(group: _Group, value, told: dict, root: int):
    if group.me != root:
        value = empty(told)
    data = raw(contiguous(value))
    if not data.flags.writeable:  # nobody writes to the root's
        data = data.copy()
    _ipmpi.collective("bcast", None, data, root=root)
    return value


def _split(value: Any, counts: list[int] | None, axis: int, size: int
           ) -> tuple[dict, Any, list[int]]:
    """A root's value in pieces: what to tell, the bytes, their sizes."""
    told = describe(value)
    array = told["kind"] == "array"
    if array and not -value.ndim <= axis < value.ndim:
        raise ValueError(f"no axis {axis} in an array with shape "
                         f"{value.shape}")
    if not array and axis != 0:
        raise ValueError("only arrays have axes")
    axis = axis % value.ndim if array else 0
    length = value.shape[axis] if array else len(value)
    counts = _even(length, size) if counts is None else list(counts)
    if len(counts) != size or min(counts) < 0 or sum(counts) != length:
        raise ValueError(f"counts must be {size} numbers with sum {length}")
    cuts = _cuts(counts)
    if array:
        numpy = numpy_module()
        rest = value.size // length if length else 0
        sizes = [count * rest * value.dtype.itemsize for count in counts]
        if axis == 0:
            data = raw(contiguous(value))
        else:
            lead = (slice(None),) * axis
            data = numpy.concatenate(
                [raw(contiguous(value[lead + (cut,)])) for cut in cuts])
    else:
        pieces = [pickled(value[cut]) for cut in cuts]
        sizes = [len(piece) for piece in pieces]
        data = b"".join(pieces)
    told.update(axis=axis, counts=counts, sizes=sizes)
    if array:
        del told["sizes"]  # follow from the counts
    return told, data, sizes


def _scatter(group: _Group, name: str, root: int, into: str,
             counts: list[int] | None, axis: int) -> None:
    mine, data = {}, None
    if group.me == root:
        mine, data, _ = _split(group.value(name), counts, axis, group.size)
    told = group.agree(mine)[root]
    if told["kind"] == "array":
        shapes = [list(told["shape"]) for _ in group.engines]
        for shape, count in zip(shapes, told["counts"]):
            shape[told["axis"]] = count
        sizes = [size_of({**told, "shape": shape}) for shape in shapes]
        value = empty(told, shapes[group.me])
        room = raw(value)
    else:
        sizes = told["sizes"]
        room = bytearray(sizes[group.me])
    _ipmpi.collective("scatter", data, room, sizes, root=root)
    if told["kind"] == "object":
        value = pickle.loads(room)
    group.commit()
    group.names[into] = value


def _tell(group: _Group, value: Any) -> tuple[list[dict], list[int], Any]:
    """Agrees on what all have: descriptions, sizes, and our own bytes."""
    mine = describe(value)
    data = (raw(contiguous(value)) if mine["kind"] == "array"
            else pickled(value))
    mine["bytes"] = len(data)
    told = group.agree(mine)
    return told, [one["bytes"] for one in told], data


def _move(data, room, sizes: list[int], root: int | None) -> None:
    if root is None:
        _ipmpi.collective("allgather", data, room, sizes)
    else:
        _ipmpi.collective("gather", data, room, sizes, root=root)


def _gather(group: _Group, name: str, root: int | None, into: str,
            axis: int) -> None:
    """Arrays are joined along the axis, anything else becomes a list."""
    value = group.value(name)
    told, sizes, data = _tell(group, value)
    group.same(told, "kind")
    result = None
    wanted = root is None or group.me == root
    if told[0]["kind"] == "object":
        room = memoryview(bytearray(sum(sizes) if wanted else 0))
        _move(data, room, sizes, root)
        if wanted:
            result = [pickle.loads(room[cut]) for cut in _cuts(sizes)]
    else:
        axis = _check_joint(group, told, axis)
        result = _join(told, sizes, data, root, wanted, axis)
    group.commit()
    if wanted:
        group.names[into] = result


def _check_joint(group: _Group, told: list[dict], axis: int) -> int:
    """Arrays that can be joined along the axis, which is returned as a place
    (0 ..); numbers without dimensions count as vectors of one."""
    group.same(told, "dtype")
    for one in told:
        one["shape"] = one["shape"] or [1]
        one["rank"] = len(one["shape"])
    group.same(told, "rank")
    rank = told[0]["rank"]
    if not -rank <= axis < rank:
        raise ValueError(f"no axis {axis} in arrays with {rank} dimensions")
    axis %= rank
    for one in told:
        one["rest"] = one["shape"][:axis] + one["shape"][axis + 1:]
    group.same(told, "rest")
    return axis


def _join(told: list[dict], sizes: list[int], data, root: int | None,
          wanted: bool, axis: int):
    if not wanted:
        _move(data, bytearray(0), sizes, root)
        return None
    shape = list(told[0]["shape"])
    shape[axis] = sum(one["shape"][axis] for one in told)
    result = empty(told[0], shape)
    if axis == 0:
        _move(data, raw(result), sizes, root)
        return result
    room = numpy_module().empty(sum(sizes), "u1")
    _move(data, room, sizes, root)
    return numpy_module().concatenate(
        [restore(one, room[cut]) for one, cut in zip(told, _cuts(sizes))],
        axis=axis)


def _allgather(group: _Group, name: str, into: str, axis: int) -> None:
    _gather(group, name, None, into, axis)


def _alltoall(group: _Group, name: str, into: str) -> None:
    """An array is cut evenly along its first axis, and what comes is joined
    there; of any other sequence item i goes to member i."""
    value = group.value(name)
    mine = describe(value)
    if mine["kind"] == "array":
        if not value.ndim:
            raise ValueError("an array without dimensions cannot be cut")
        data = raw(contiguous(value))
    else:
        if len(value) != group.size:
            raise ValueError(f"{group.size} items, one for each engine, "
                             f"please; not {len(value)}")
        pieces = [pickled(item) for item in value]
        mine["sizes"] = [len(piece) for piece in pieces]
        data = b"".join(pieces)
    told = group.agree(mine)
    group.same(told, "kind")
    if mine["kind"] == "array":
        result = _alltoall_array(group, told, data)
    else:
        sizes_in = [one["sizes"][group.me] for one in told]
        room = memoryview(bytearray(sum(sizes_in)))
        _ipmpi.collective("alltoall", data, room, mine["sizes"], sizes_in)
        result = [pickle.loads(room[cut]) for cut in _cuts(sizes_in)]
    group.commit()
    group.names[into] = result


def _alltoall_array(group: _Group, told: list[dict], data):
    group.same(told, "dtype")
    for one in told:
        one["rest"] = one["shape"][1:]
    group.same(told, "rest")
    row = size_of({**told[0], "shape": told[0]["rest"]})
    counts = [_even(one["shape"][0], group.size)[group.me] for one in told]
    sizes = [n * row for n in _even(told[group.me]["shape"][0], group.size)]
    result = empty(told[0], [sum(counts), *told[0]["rest"]])
    _ipmpi.collective("alltoall", data, raw(result), sizes,
                      [n * row for n in counts])
    return result


# ---- reductions ---------------------------------------------------------


def _reduce(group: _Group, name: str, op: str | Callable, root: int | None,
            into: str, scan: bool = False, shared: bool = False) -> None:
    """root None: all get the result; scan: member i that of 0 .. i; shared:
    large ones may be there once a node."""
    value = group.value(name)
    if is_array(value):
        value = value.astype(value.dtype.newbyteorder("="), copy=False)
    if callable(op) or not is_array(value):
        result = _fold(group, value, op, root, scan)
    else:
        result = _reduce_array(group, value, op, root, scan, shared)
    group.commit()
    if root is None or group.me == root:
        group.names[into] = result


def _kind_of_number(dtype) -> str:
    """As _ipmpi.collective_can calls it; not one of its names: MPI has none."""
    if dtype.char in "gG" and dtype.itemsize > (8 if dtype.char == "g" else 16):
        return dtype.char
    return f"{dtype.kind}{dtype.itemsize}"


def _reduce_array(group: _Group, value, op: str, root: int | None,
                  scan: bool, shared: bool):
    number = _kind_of_number(value.dtype)
    if not _ipmpi.collective_can(number, op):
        return _fold(group, value, op, root, scan)
    told = group.agree({**describe(value), "bytes": value.nbytes,
                        "node": _ipmpi.node if shared else ""})
    for key in ("kind", "dtype", "shape"):
        group.same(told, key)
    nodes = [one["node"] for one in told]
    if shared and value.nbytes >= SHARE_FROM and len(set(nodes)) < group.size:
        return reduce_shared(value, number, op, nodes)
    if root is None and not scan:
        result = empty(told[group.me])
        _ipmpi.collective("allreduce", raw(contiguous(value)), raw(result),
                          number=number, operation=op)
        return result
    result = value.copy(order="C")
    _ipmpi.collective("scan" if scan else "reduce", None, raw(result),
                      root=root or 0, number=number, operation=op)
    return result


def _fold(group: _Group, value: Any, op: str | Callable, root: int | None,
          scan: bool) -> Any:
    """For what MPI cannot combine: everyone's value comes to who wants it,
    who combines them in the group's order. Cost: p n bytes, p - 1 calls."""
    told, sizes, data = _tell(group, value)
    group.same(told, "kind")
    if told[0]["kind"] == "array" and not callable(op):
        for key in ("dtype", "shape"):
            group.same(told, key)
    wanted = root is None or group.me == root
    room = memoryview(bytearray(sum(sizes) if wanted else 0))
    _move(data, room, sizes, root)
    if not wanted:
        return None
    values = [restore(one, room[cut]) for one, cut in zip(told, _cuts(sizes))]
    if scan:
        values = values[:group.me + 1]
    result = functools.reduce(_function(op, told[0]["kind"]), values)
    if not callable(op) and told[0]["kind"] == "array":
        result = numpy_module().asarray(result).astype(value.dtype, copy=len(
            values) == 1)
    return result


def _function(op: str | Callable, kind: str) -> Callable:
    if callable(op):
        return op
    return getattr(numpy_module(), _UFUNCS[op]) if kind == "array" else _FOLDS[op]


def _scan(group: _Group, name: str, op: str | Callable, into: str) -> None:
    _reduce(group, name, op, None, into, scan=True)


def _allreduce(group: _Group, name: str, op: str | Callable,
               into: str, shared: bool = True) -> None:
    _reduce(group, name, op, None, into, shared=shared)


_VERBS = {
    "barrier": _barrier, "bcast": _bcast, "scatter": _scatter,
    "gather": _gather, "allgather": _allgather, "alltoall": _alltoall,
    "reduce": _reduce, "allreduce": _allreduce, "scan": _scan,
}
