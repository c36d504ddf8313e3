"""A journal that tasks write on engines and a test reads: what really ran, as
judge of what a cluster says that ran. Standard library only."""

from __future__ import annotations

import collections
from pathlib import Path


class Journal:
    """Lines "LETTER TASK PID", each written by one write() to a file opened
    for appending, so that none is torn or lost when its writer is killed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def lines(self) -> list[tuple[str, str, int]]:
        """(letter, task, pid) in the order of events."""
        return [(letter, task, int(pid)) for letter, task, pid in
                (line.split() for line in self.path.read_text().splitlines())]

    def counts(self) -> dict[str, collections.Counter]:
        """How often each task wrote each letter."""
        found: dict[str, collections.Counter] = collections.defaultdict(
            collections.Counter)
        for letter, task, _ in self.lines():
            found[task][letter] += 1
        return found

    def writers(self) -> list[int]:
        """The pids that wrote, the latest first."""
        return list(dict.fromkeys(pid for _, _, pid in
                                  reversed(self.lines())))


def job(path, task, seconds, end=None):
    """A task: notes its beginning ("B") and its end ("E"), sleeps between.

    `end` names how its first run kills its engine in place of an end. Sent to
    engines, which cannot import this module: it imports what it needs.
    """
    import ctypes
    import os
    import signal
    import time

    def note(letter):
        fd = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.write(fd, f"{letter} {task} {os.getpid()}\n".encode())
        os.close(fd)

    note("B")
    time.sleep(seconds)
    if end is not None:
        with open(path) as file:
            first = file.read().count(f"B {task} ") == 1
        if first:
            {"exit": lambda: os._exit(3),
             "segfault": lambda: ctypes.string_at(0),
             "kill": lambda: os.kill(os.getpid(), signal.SIGKILL)}[end]()
    note("E")
    return task


def family(job, path, task, count, seconds):
    """A task with children, which are `job`s; returns what became of each:
    (name, "ok" or the name of an error, its text)."""
    import os

    from ipmpi import submit

    job(path, task, 0)
    names = [f"{task}/{os.getpid()}-{n}" for n in range(count)]
    fates = []
    for name, child in [(name, submit(job, path, name, seconds))
                        for name in names]:
        try:
            assert child.result() == name
            fates.append((name, "ok", ""))
        except Exception as error:
            fates.append((name, type(error).__name__, str(error)))
    return fates
