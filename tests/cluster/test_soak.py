"""Engines die at random under load; at the end every task is accounted for.

Some tasks have children, and all are of very different length, so that much is
stolen. The judge is a journal that the tasks themselves write: what the
cluster says of a task must agree with what it did.
"""

from __future__ import annotations

import collections
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import ipyparallel as ipp
import pytest
from harness.journal import Journal, family, job
from ipyparallel import interactive

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bridge/client"))
from ipmpi.hub import Hub  # noqa: E402

ENGINES = 4
RESULT = 60   # seconds within which a task must be decided
AHEAD = 40    # tasks that each client keeps in flight


@pytest.fixture(autouse=True)
def only_here(kind):
    if kind != "ipmpi":
        pytest.skip("its engines are not replaced")


class Client(threading.Thread):
    """Submits tasks until it is told to end, then waits for all of them."""

    def __init__(self, cluster, journal, number: int) -> None:
        super().__init__(name=f"client{number}")
        self.random = random.Random(number)
        self.journal = journal
        self.rc = ipp.Client(profile_dir=str(cluster.profile_dir))
        self.view = self.rc.load_balanced_view()
        self.view.apply_sync(os.getpid)  # what clients import, one by one
        self.stop = threading.Event()
        self.outcomes: dict[str, tuple[int, str, str]] = {}
        self.children: list[tuple[str, str, str]] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            flying: collections.deque = collections.deque()
            for n in range(1_000_000):
                if self.stop.is_set():
                    break
                flying.append(self.submit(f"{self.name}.{n}"))
                if len(flying) > AHEAD:
                    self.decide(*flying.popleft())
            while flying:
                self.decide(*flying.popleft())
        except BaseException as error:
            self.error = error

    def submit(self, task: str):
        retries = self.random.choice((0, 0, 1, 3))
        end = None
        if self.random.random() < 0.001:
            end = self.random.choice(("exit", "segfault", "kill"))
        seconds = min(1.0, 0.005 * self.random.paretovariate(1.1))
        path = str(self.journal.path)
        with self.view.temp_flags(retries=retries):
            if self.random.random() < 0.03:
                ar = self.view.apply_async(
                    interactive(family), interactive(job), path, task,
                    self.random.randrange(30), min(seconds, 0.05))
            else:
                ar = self.view.apply_async(interactive(job), path, task,
                                           seconds, end)
        return task, retries, ar

    def decide(self, task: str, retries: int, ar) -> None:
        try:
            result = ar.get(RESULT)
            outcome = "ok", ""
            if isinstance(result, list):
                self.children += map(tuple, result)
        except ipp.RemoteError as error:
            outcome = error.ename, error.evalue
        self.outcomes[task] = (retries, *outcome)


class Reaper(threading.Thread):
    """Kills engines, or stops them for a while."""

    def __init__(self, cluster, journal) -> None:
        super().__init__(name="reaper")
        self.cluster = cluster
        self.journal = journal
        self.random = random.Random(1)
        self.stop = threading.Event()
        self.killed = self.stopped = 0

    def run(self) -> None:
        while not self.stop.wait(self.random.uniform(0.2, 1.5)):
            mine = set(self.cluster.pids())
            busy = [p for p in self.journal.writers()[:ENGINES] if p in mine]
            if not busy:
                continue
            pid = self.random.choice(busy)
            if self.may_kill() and self.random.random() < 0.5:
                self.killed += signal_to(pid, self.random.choice(
                    (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT)))
            elif signal_to(pid, signal.SIGSTOP):
                self.stop.wait(self.random.uniform(0.1, 1.0))
                if self.may_kill() and self.random.random() < 0.3:
                    self.killed += signal_to(pid, signal.SIGKILL)
                else:
                    self.stopped += signal_to(pid, signal.SIGCONT)

    def may_kill(self) -> bool:
        """Engines are replaced five times a minute (--respawn), and tasks
        kill some, too."""
        dead = self.cluster.log().count("ENGINE-LOST")
        return dead < 3 + (time.monotonic() - self.started) / 15

    def start(self) -> None:
        self.started = time.monotonic()
        super().start()


def signal_to(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def judge(task: str, retries: int, ename: str, text: str,
          done: collections.Counter) -> str | None:
    """What is wrong with what became of a task; None if nothing is."""
    begun, ended = done["B"], done["E"]
    if ename == "ok":
        right = (begun == ended == 1 if retries == 0
                 else 1 <= ended <= begun <= retries + 1)
    elif ename == "EngineError":
        # No begun task without a line but in the moment before its first.
        right = begun <= retries + 1 and ended <= begun
        right = right and "was killed by" in text or "exited with" in text
    else:
        right = False
    if right:
        return None
    return f"{task}: {retries} retries, {begun} B, {ended} E, {ename} {text}"


def judge_child(name: str, ename: str, text: str,
                done: collections.Counter) -> str | None:
    """The same of a child, which has no retries."""
    begun, ended = done["B"], done["E"]
    if ename == "ok":
        right = begun == ended == 1
    else:
        right = (ename == "EngineError" and ended <= begun <= 1 and
                 ("was killed by" in text or "exited with" in text))
    return None if right else f"{name}: {begun} B, {ended} E, {ename} {text}"


@pytest.mark.parametrize("seconds", [
    15, pytest.param(240, marks=pytest.mark.long)])
@pytest.mark.seconds(600)
def test_every_task_is_accounted_for(make_cluster, connect, tmp_path,
                                     seconds):
    cluster = make_cluster(ENGINES, args=("--respawn",))
    rc = connect(cluster)
    journal = Journal(tmp_path / "journal")
    clients = [Client(cluster, journal, n) for n in range(3)]
    reaper = Reaper(cluster, journal)
    try:
        for thread in (*clients, reaper):
            thread.start()
        time.sleep(seconds)
        for thread in (reaper, *clients):
            thread.stop.set()
        for thread in (reaper, *clients):
            thread.join(RESULT)
            assert not thread.is_alive(), f"{thread.name} hangs"
        for client in clients:
            if client.error:
                raise client.error
        check(cluster, rc, journal, clients, reaper)
    finally:
        for client in clients:
            client.rc.close()


def check(cluster, rc, journal, clients, reaper) -> None:
    done = journal.counts()
    outcomes = {task: outcome for client in clients
                for task, outcome in client.outcomes.items()}
    wrong = [line for task, outcome in outcomes.items()
             if (line := judge(task, *outcome, done[task]))]
    children = [fate for client in clients for fate in client.children]
    wrong += [line for name, *fate in children
              if (line := judge_child(name, *fate, done[name]))]
    assert not wrong, "\n".join(wrong)
    names = collections.Counter(outcome[1] for outcome in outcomes.values())
    lost = cluster.log().count("ENGINE-LOST")
    print(f"{len(outcomes)} tasks: {dict(names)}, {len(children)} children; "
          f"{lost} engines died, "
          f"{reaper.stopped} were stopped for a while; ids now {rc.ids}")
    assert {name.partition("/")[0] for name in done} <= set(outcomes)
    # Children whose parent died are in nobody's list, and run once as well.
    assert all(count["B"] <= 1 for name, count in done.items() if "/" in name)
    assert children and sum(stolen(cluster)) > 0
    assert reaper.killed > 0 and lost >= reaper.killed
    assert names["ok"] > 10 * names["EngineError"]
    # A death costs at most what ran, and what had ended a moment before.
    assert names["EngineError"] <= 2 * lost
    assert "ENGINE-GUESS" not in cluster.log()
    wait_for_idle(rc)
    # Replaced: as many as before, with new ids, in the same job.
    assert max(rc.ids) >= ENGINES
    assert len(set(rc[:].apply_sync(os.getpid))) == ENGINES
    assert cluster.process.poll() is None


def stolen(cluster) -> tuple[int, int]:
    """Tasks that went from engine to engine, and by way of rank 0."""
    with Hub(cluster.info()) as hub:
        seen = hub.ask("ipmpi_status_request")["stealing"]
    return seen["stolen"], seen["returned"]


def wait_for_idle(rc, seconds: float = 70) -> None:
    end = time.monotonic() + seconds
    while True:
        status = rc.queue_status()
        if (status.pop("unassigned") == 0 and len(status) == ENGINES and
                all(one["tasks"] == one["queue"] == 0
                    for one in status.values())):
            return
        assert time.monotonic() < end, status
        time.sleep(0.1)
