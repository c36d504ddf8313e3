"""Load-balanced views that send many items in one message.

    view = client.load_balanced_view()
    view.map_sync(f, range(10**6))              # pieces as engines need them
    view.map_async(f, xs, chunksize=1)          # each item a task of its own
    for y in view.imap(f, endless()): ...       # reads arguments as it goes
    with view.executor as pool: pool.map(f, xs)
    view.mpi(4).apply_sync(f)                   # f(comm) on 4 engines

The controller splits a map into pieces that take an engine some 20 ms, by the
time that items take, and smaller ones towards the end; with a `chunksize`,
chunks stay together and are timed and tried by themselves. `retries` of the
view are for each item; an item that failed is tried on another engine if there
is one. When an engine dies, what it had reported is kept.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Iterator

from ipyparallel import AsyncResult, LoadBalancedView, dependent
from ipyparallel.client.remotefunction import getname
from ipyparallel.client.view import (ViewExecutor, save_ids, sync_results)
from ipyparallel.serialize import pack_apply_message

from .bulk import BulkFuture, Group
from .items import as_sequence, pack
from .lazy import LazyMap
from .maps import BulkMapResult


class BulkView(LoadBalancedView):
    """A LoadBalancedView whose maps are bulk jobs."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.executor = BulkExecutor(self)
        self._lazy_maps: set[LazyMap] = set()
        self._sending = threading.Lock()

    @sync_results
    @save_ids
    def map(self, f, *sequences, block=None, chunksize=None, ordered=True,
            return_exceptions=False, label=None):
        """As LoadBalancedView.map, in one message.

        chunksize: how many items are a task, which is timed and tried as a
            whole; default: as many as the controller finds good, while each
            item still fails and is tried for itself
        """
        if not sequences:
            raise TypeError("map needs a sequence at least")
        if isinstance(f, dependent):  # judged anew for each task
            return super().map(f, *sequences, block=block,
                               chunksize=chunksize or 1, ordered=ordered,
                               return_exceptions=return_exceptions,
                               **({"label": label} if label else {}))
        sequence, star = as_sequence(sequences)
        if not len(sequence):
            return []
        group = Group()
        jobs = self._send_bulk(f, sequence, star, chunksize, label, group)
        result = BulkMapResult(self.client, jobs, group, getname(f), ordered,
                               return_exceptions)
        if self.block if block is None else block:
            try:
                return result.get()
            except KeyboardInterrupt:
                pass
        return result

    def _send_bulk(self, f, sequence, star: bool, chunksize: int | None,
                   label: str | None, group: Group) -> list[BulkFuture]:
        if chunksize is not None and chunksize < 1:
            raise ValueError(f"chunks of {chunksize} items?")
        function = pack_apply_message(f, (), {})
        metadata = self._task_metadata(label)
        return [self.client.send_bulk_request(self._socket, function, items,
                                              star, metadata, group)
                for items in pack(sequence, chunksize or 0)]

    def _task_metadata(self, label: str | None) -> dict:
        targets = [] if self.targets is None else [
            ident.decode()
            for ident in self.client._build_targets(self.targets)[0]]
        return dict(after=self._render_dependency(self.after),
                    follow=self._render_dependency(self.follow),
                    timeout=self.timeout, targets=targets,
                    retries=self.retries,
                    label=label or getattr(self, "label", None))

    def imap(self, f, *sequences, ordered=True, max_outstanding="auto",
             return_exceptions=False, chunksize=None, timeout=None
             ) -> Iterator[Any]:
        """As LoadBalancedView.imap. Arguments are read in a thread of its own,
        and sent many at a time.

        max_outstanding: how many items may be on their way or wait to be
            taken; 0: any number; default: some tenths of a second's work
        timeout: seconds from now within which results must come
        """
        if not sequences:
            raise TypeError("imap needs a sequence at least")
        if isinstance(f, dependent):
            return super().imap(f, *sequences, ordered=ordered,
                                max_outstanding=max_outstanding,
                                return_exceptions=return_exceptions)
        star = len(sequences) > 1
        arguments = zip(*sequences) if star else iter(sequences[0])

        def send(batch: list, group: Group) -> list[BulkFuture]:
            jobs = self._send_bulk(f, batch, star, chunksize, None, group)
            with self._sending:
                self.history.extend(job.msg_id for job in jobs)
                self.outstanding.update(job.msg_id for job in jobs)
            return jobs

        fixed = None if max_outstanding == "auto" else max_outstanding
        lazy = LazyMap(send, arguments, fixed, len(self), ordered,
                       return_exceptions, getname(f), timeout)
        self._lazy_maps = {other for other in self._lazy_maps
                           if other.thread.is_alive()} | {lazy}
        return lazy

    def mpi(self, k: int) -> "MpiTasks":
        """For tasks of `k` engines: view.mpi(4).apply(f, *args) calls
        f(comm, *args) on 4 engines that are free, with an mpi4py communicator
        of exactly these, made for the call and freed after it.

        Such a task waits among the view's other tasks until it can have its
        engines, which are all of those started together. Its result is a list
        of what f returned, in the order of ranks. If f raises on one engine,
        or an engine dies, the task fails at once, and waits in `comm` end on
        the others. Retries do not apply.
        """
        if not isinstance(k, int) or k < 1:
            raise ValueError(f"a task of {k!r} engines?")
        return MpiTasks(self, k)

    @sync_results
    @save_ids
    def _apply_mpi(self, k: int, f, args, kwargs, block) -> AsyncResult:
        metadata = dict(self._task_metadata(None), ipmpi_mpi=k)
        future = self.client.send_apply_request(
            self._socket, f, args, kwargs, track=self.track,
            metadata=metadata)
        result = AsyncResult(self.client, future, fname=getname(f),
                             owner=True)
        if self.block if block is None else block:
            try:
                return result.get()
            except KeyboardInterrupt:
                pass
        return result


class MpiTasks:
    """Calls functions with a communicator of k engines."""

    def __init__(self, view: BulkView, k: int) -> None:
        self.view = view
        self.k = k

    def apply(self, f, *args, **kwargs):
        """f(comm, *args, **kwargs) on k engines."""
        return self.view._apply_mpi(self.k, f, args, kwargs, None)

    def apply_async(self, f, *args, **kwargs) -> AsyncResult:
        return self.view._apply_mpi(self.k, f, args, kwargs, False)

    def apply_sync(self, f, *args, **kwargs) -> list:
        return self.view._apply_mpi(self.k, f, args, kwargs, True)


class BulkExecutor(ViewExecutor):
    """A concurrent.futures executor over a BulkView."""

    def map(self, func, *iterables, timeout=None, chunksize=None, **kwargs
            ) -> Iterator[Any]:
        """As concurrent.futures has it; further keywords are imap's."""
        return self.view.imap(func, *iterables, timeout=timeout,
                              chunksize=chunksize, **kwargs)

    def shutdown(self, wait=True, *, cancel_futures=False) -> None:
        """Engines stay. With wait, all that was given to map is sent, and all
        results have come."""
        maps = list(self.view._lazy_maps)
        for lazy in maps:
            if cancel_futures:
                lazy.cancel()
            else:
                lazy.send_all()
        if wait:
            for lazy in maps:
                lazy.thread.join()
            self.view.wait()
