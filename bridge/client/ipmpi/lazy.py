"""Results of maps whose arguments are read as the results are taken.

Threads: arguments are read, and items sent, on a thread of the map's own;
results are taken on any one.
"""

from __future__ import annotations

import collections
import itertools
import threading
import time
from typing import Any, Callable, Iterator

from .bulk import BulkFuture, Group, wait_until


class LazyMap:
    """Iterates over results while a thread of its own reads arguments and
    sends them, some ahead.

    No more than `window` items are on their way or wait to be taken. It grows
    with the pace of the engines unless `fixed`.
    """

    BATCH_S = 0.005  # items that came within this time are sent together
    AHEAD_S = 0.1    # how much work the window should hold
    WINDOW_MOST = 1 << 16
    BYTES_MOST = 32 << 20
    STEPS = 16       # parts of a window in which what is taken is noted

    def __init__(self, send: Callable[[list, Group], list[BulkFuture]],
                 arguments: Iterator, fixed: int | None, engines: int,
                 ordered: bool, return_exceptions: bool, name: str,
                 timeout: float | None = None) -> None:
        self._send = send
        self._arguments = arguments
        self._engines = max(engines, 1)
        self._fixed = fixed
        self._ordered = ordered
        self._return_exceptions = return_exceptions
        self._name = name
        self._deadline = None if timeout is None \
            else time.monotonic() + timeout
        self._group = Group()
        self._jobs: collections.deque[BulkFuture] = collections.deque()
        self._unsent: collections.deque = collections.deque()
        self._sending = threading.Lock()
        self._ahead = 0     # items sent and not taken
        self._step = 1      # items to take before that is noted,
        self._taken = 0     # and how many were
        self._job: BulkFuture | None = None
        self._at = self._end = 0  # of its items: decided and not taken
        self._over = False
        self._sent = 0
        self._sent_bytes = 0
        self._stopped = False
        self._hungry = False  # the consumer waits
        self._exhausted = False  # nothing more will be sent
        self._failure: BaseException | None = None
        self.thread = threading.Thread(target=self._feed, daemon=True,
                                       name="ipmpi-imap")
        self.thread.start()

    # ---- the feeding thread ---------------------------------------------

    def _window(self) -> int:
        if self._fixed is not None:
            return self._fixed or self._ahead + self.WINDOW_MOST
        window = 4 * self._engines
        if self._group.item_s:
            window = max(window, int(
                self.AHEAD_S * self._engines / self._group.item_s))
        if self._sent:
            window = min(window, int(
                self.BYTES_MOST * self._sent / max(self._sent_bytes, 1)))
        return max(1, min(window, self.WINDOW_MOST))

    def _room(self) -> int:
        """How many items may be read now, once it is worth a message."""
        with self._group.changed:
            while not self._stopped:
                if self._fixed == 0:
                    return self.WINDOW_MOST
                window = self._window()
                if 2 * (window - self._ahead) >= window:
                    return window - self._ahead
                self._group.changed.wait()
        return 0

    def _read(self, most: int) -> int:
        """Reads arguments, and sends them now and then: they may come slowly.
        How many there were."""
        count, until = 0, time.monotonic() + self.BATCH_S
        for item in itertools.islice(self._arguments, most):
            self._unsent.append(item)
            count += 1
            if self._stopped:
                break
            if self._hungry or time.monotonic() > until:
                self._flush()
                until = time.monotonic() + self.BATCH_S
        self._flush()
        return count

    def _flush(self) -> None:
        """Sends what was read. Also the consumer does, before it waits."""
        with self._sending:
            batch = [self._unsent.popleft() for _ in range(len(self._unsent))]
            if not batch:
                return
            jobs = self._send(batch, self._group)
            with self._group.changed:
                self._hungry = False
                self._jobs.extend(jobs)
                self._ahead += len(batch)
                self._sent += len(batch)
                self._sent_bytes += sum(job.bytes for job in jobs)
                self._group.changed.notify_all()

    def _feed(self) -> None:
        try:
            while (room := self._room()) and self._read(room):
                pass
        except BaseException as exc:  # of the arguments, or of sending them
            self._failure = exc
        try:
            self._flush()
        except BaseException as exc:
            self._failure = self._failure or exc
        with self._group.changed:
            self._exhausted = True
            self._group.changed.notify_all()

    # ---- the consumer ---------------------------------------------------

    def __iter__(self) -> "LazyMap":
        return self

    def __next__(self) -> Any:
        job = self._job
        try:
            while self._at == self._end:
                job = self._next_stretch()
            index = self._at
            self._at = index + 1
            value = job.item(index, self._return_exceptions, self._name)
        except BaseException:
            self._finish()
            raise
        job.results[index] = None
        self._taken += 1
        if self._taken >= self._step or self._at == self._end:
            self._note_taken()
        return value

    def _finish(self) -> None:
        """It is over: nothing more comes, and the next call says so."""
        self.cancel()
        self._over = True
        self._at = self._end

    def cancel(self) -> None:
        """Sends nothing more; results of what was sent still come."""
        with self._group.changed:
            self._stopped = True
            self._group.changed.notify_all()

    def send_all(self) -> None:
        """From now on arguments are sent whether or not results are taken."""
        with self._group.changed:
            self._fixed = 0
            self._group.changed.notify_all()

    def _next_stretch(self) -> BulkFuture:
        """Goes on to items that are decided, of the job returned."""
        found = None
        if not self._over:
            found = (self._next_in_order() if self._ordered
                     else self._next_arrival())
        if found is not None:
            self._job, self._at, self._end = found
            return found[0]
        failure, self._failure = self._failure, None
        raise StopIteration if failure is None or self._over else failure

    def _note_taken(self) -> None:
        """Not for each item: locks take longer than items."""
        with self._group.changed:
            self._ahead -= self._taken
            self._taken = 0
            window = self._window()
            self._step = max(1, window // self.STEPS)
            if 2 * self._ahead <= window:
                self._group.changed.notify_all()

    def _await_more(self) -> None:
        """One wait, with the lock held. The feeding thread may wait for
        arguments with some in hand: those are sent."""
        self._hungry = True  # before the look: one of us sees what the other
        if not self._unsent:  # has done
            wait_until(self._group.changed, self._deadline)
            return
        self._group.changed.wait(self.BATCH_S)
        self._group.changed.release()
        try:
            self._flush()
        finally:
            self._group.changed.acquire()

    def _next_job(self) -> BulkFuture | None:
        with self._group.changed:
            while not self._jobs:
                if self._exhausted:
                    return None
                self._await_more()
            return self._jobs.popleft()

    def _next_in_order(self) -> tuple[BulkFuture, int, int] | None:
        job, at = self._job, self._end
        if job is None or at == job.count:
            job, at = self._next_job(), 0
            if job is None:
                return None
            self._group.arrivals.clear()  # nobody reads them
        if not job.decided[at]:
            with self._group.changed:
                while not job.decided[at]:
                    self._await_more()
        end = job.decided.find(0, at)
        return job, at, job.count if end < 0 else end

    def _next_arrival(self):
        with self._group.changed:
            while not self._group.arrivals:
                if self._exhausted and self._ahead == 0:
                    return None
                self._await_more()
            self._jobs.clear()
            return self._group.arrivals.popleft()
