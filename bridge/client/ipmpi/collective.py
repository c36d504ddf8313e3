"""Collective verbs on views: one request, whatever the number of engines; the
data goes from engine to engine by MPI.

    view = client[:]
    view.bcast("x", root=0)             # x of engine 0 on all engines of the view
    view.scatter("x", root=0, axis=1)   # pieces of it, along an axis
    view.allreduce("x", "sum", into="total")

Names are those of the engines' namespaces; roots are engine ids, the view's
first engine unless told otherwise. Numpy arrays travel as they lie in memory,
any other object pickled. `into` is the name of the result, `name` if it is
None. With block=False a verb returns an AsyncResult whose values are None.

If the verb fails on one engine (a name is missing, shapes differ, it dies),
it fails on all, with an error that tells which engine and why; names are left
as they were. An engine that is busy is waited for.
"""

from __future__ import annotations

import secrets
from typing import Any, Callable, Sequence, Union

from ipyparallel import AsyncResult, BroadcastView, DirectView, interactive

OPERATIONS = ("sum", "prod", "min", "max", "land", "lor", "lxor", "band",
              "bor", "bxor")
"""Names of operations: land .. lxor are logical, band .. bxor bitwise."""

Operation = Union[str, Callable[[Any, Any], Any]]

_UNSET: Any = object()


@interactive
def collective(verb, engines, number, arguments):
    """What runs on each engine, which need not have this package."""
    from ipmpi_engine import collectives

    collectives.run(verb, engines, number, **arguments)


@interactive
def make_writable(name):
    """The same, for one array."""
    import ipmpi_engine

    ipmpi_engine.writable(name)


class _Requests(BroadcastView):
    """Sends requests whose shares the controller fails together."""

    def _init_metadata(self, target_tuples):
        return dict(super()._init_metadata(target_tuples),
                    ipmpi_collective=True)


class CollectiveVerbs:
    """The verbs; for classes derived from ipyparallel.DirectView."""

    def _collective(self, verb: str, targets, block, root=_UNSET,
                    **arguments) -> AsyncResult | None:
        engines = self._members(targets)
        if root is not _UNSET:
            arguments["root"] = _place(engines, root)
        return self._ask(_Requests, engines, block, collective, verb, engines,
                         secrets.randbits(63), arguments)

    def _members(self, targets) -> list[int]:
        targets = self.targets if targets is None else targets
        try:
            return list(self.client._build_targets(targets)[1])
        except KeyError as missing:
            raise IndexError(f"no such engine: {missing} (any more)") from None

    def _ask(self, kind: type, targets, block, function, *args
             ) -> AsyncResult | None:
        """One request to all targets, by a view of this kind."""
        view = kind(client=self.client, targets=targets,
                    socket=self.client._broadcast_stream)
        result = view.apply_async(function, *args)
        self.history.extend(result.msg_ids)
        self.outstanding.update(result.msg_ids)
        if not (self.block if block is None else block):
            return result
        result.get()
        return None

    def barrier(self, targets=None, block=None) -> AsyncResult | None:
        """Ends on no engine before it has begun on all."""
        return self._collective("barrier", targets, block)

    def bcast(self, name: str, root: int | None = None,
              into: str | None = None, targets=None, block=None,
              shared: bool = True) -> AsyncResult | None:
        """Gives all engines the root's value.

        shared: an array from 1 MiB on is kept once for all engines of a node,
            the root included, and cannot be written to (see writable);
            False: each engine has its own
        """
        return self._collective("bcast", targets, block, root, name=name,
                                into=into or name, shared=bool(shared))

    def writable(self, name: str, targets=None, block=None
                 ) -> AsyncResult | None:
        """Makes an array that is shared one that can be written to: a private
        copy on each engine. In code that runs there: ipmpi_engine.writable."""
        engines = self._members(targets)
        return self._ask(BroadcastView, engines, block, make_writable, name)

    def scatter(self, key: str, seq: Any = _UNSET, *args,
                root: int | None = None, counts: Sequence[int] | None = None,
                axis: int = 0, into: str | None = None, targets=None,
                block=None, **kwargs):
        """With `seq`: ipyparallel's, from the client. Without: from the root's
        namespace, an array along `axis`, or any sequence that can be sliced.

        counts: lengths of the pieces, one for each engine; default: as even
            as can be, the longer ones first
        """
        if seq is not _UNSET:
            return super().scatter(key, seq, *args, targets=targets,
                                   block=block, **kwargs)
        if args or kwargs:
            raise TypeError("these arguments need a sequence to scatter")
        if counts is not None:
            counts = [int(count) for count in counts]
        return self._collective("scatter", targets, block, root, name=key,
                                into=into or key, counts=counts, axis=axis)

    def gather(self, key: str, dist: str = "b", targets=None, block=None, *,
               root: int | None = _UNSET, axis: int = 0,
               into: str | None = None):
        """Without a root: ipyparallel's, to the client. With one (None: the
        view's first engine): to the root's namespace; arrays are joined along
        `axis`, other values become a list, in the view's order."""
        if root is _UNSET:
            return super().gather(key, dist=dist, targets=targets, block=block)
        return self._collective("gather", targets, block, root, name=key,
                                into=into or key, axis=axis)

    def allgather(self, name: str, axis: int = 0, into: str | None = None,
                  targets=None, block=None) -> AsyncResult | None:
        """As gather, to all engines."""
        return self._collective("allgather", targets, block, name=name,
                                into=into or name, axis=axis)

    def alltoall(self, name: str, into: str | None = None, targets=None,
                 block=None) -> AsyncResult | None:
        """Piece i goes to the view's engine i: an array is cut evenly along
        its first axis and what comes is joined there; another sequence has
        one item for each engine."""
        return self._collective("alltoall", targets, block, name=name,
                                into=into or name)

    def reduce(self, name: str, op: Operation = "sum",
               root: int | None = None, into: str | None = None, targets=None,
               block=None) -> AsyncResult | None:
        """Combines all values at the root: arrays item by item, all of one
        shape and dtype. A function takes two values, is associative, and is
        applied in the view's order."""
        return self._collective("reduce", targets, block, root, name=name,
                                op=_operation(op), into=into or name)

    def allreduce(self, name: str, op: Operation = "sum",
                  into: str | None = None, targets=None, block=None,
                  shared: bool = True) -> AsyncResult | None:
        """As reduce, with the result on all engines.

        shared: an array from 1 MiB on is kept once for all engines of a node;
            an engine that writes to it has that page for itself. False: each
            engine has its own
        """
        return self._collective("allreduce", targets, block, name=name,
                                op=_operation(op), into=into or name,
                                shared=bool(shared))

    def scan(self, name: str, op: Operation = "sum", into: str | None = None,
             targets=None, block=None) -> AsyncResult | None:
        """As reduce, but each engine gets the result of those up to itself,
        in the view's order."""
        return self._collective("scan", targets, block, name=name,
                                op=_operation(op), into=into or name)


def _operation(op: Operation) -> Operation:
    if not callable(op) and op not in OPERATIONS:
        raise ValueError(f"no operation {op!r}; there are "
                         f"{', '.join(OPERATIONS)}, and functions")
    return op


def _place(engines: list[int], root: int | None) -> int:
    """The root's place among the engines."""
    if root is None:
        return 0
    if root not in engines:
        raise ValueError(f"engine {root} is not in the view {engines}")
    return engines.index(root)


class CollectiveDirectView(CollectiveVerbs, DirectView):
    """A DirectView with collective verbs."""


class CollectiveBroadcastView(CollectiveVerbs, BroadcastView):
    """A BroadcastView with collective verbs."""
