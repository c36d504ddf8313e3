"""Work stealing as clients see it: tasks behind a long one run elsewhere, what
was stolen behaves as any other task, and whoever dies meanwhile, each task is
accounted for exactly once.

Tasks here wait for files, so that a test decides what runs when."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import ipyparallel as ipp
import pytest
from ipyparallel import interactive

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bridge/client"))
from ipmpi.hub import Hub  # noqa: E402

WAIT = 30


@interactive
def gated(directory, number):
    """Leaves a trace of its beginning, then waits for its gate."""
    import os
    import time
    open(f"{directory}/{number}.begun.{os.getpid()}", "x").close()
    end = time.monotonic() + 60
    while not os.path.exists(f"{directory}/{number}.gate"):
        if time.monotonic() > end:
            raise RuntimeError("nobody opened the gate")
        time.sleep(0.002)
    return number, os.getpid()


class Gates:
    """Tasks 0, 1, .. of a directory, and what became of them."""

    def __init__(self, directory: Path, view) -> None:
        self.directory = directory
        self.view = view
        self.results: list = []

    def submit(self, count: int = 1, **flags) -> None:
        with self.view.temp_flags(**flags):
            for _ in range(count):
                self.results.append(self.view.apply_async(
                    gated, str(self.directory), len(self.results)))

    def open(self, *numbers: int) -> None:
        for number in numbers:
            (self.directory / f"{number}.gate").touch()

    def begun(self) -> dict[int, list[int]]:
        """The processes in which each began."""
        seen: dict[int, list[int]] = {}
        for path in self.directory.glob("*.begun.*"):
            number, _, pid = path.name.split(".")
            seen.setdefault(int(number), []).append(int(pid))
        return seen

    def number_of(self, msg_id: str) -> int:
        return [r.msg_ids[0] for r in self.results].index(msg_id)


@pytest.fixture
def gates(tmp_path):
    def make(view):
        return Gates(tmp_path, view)
    return make


def until(condition, what):
    end = time.monotonic() + WAIT
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, what
        time.sleep(0.01)


def stealing(cluster) -> dict:
    with Hub(cluster.info()) as hub:
        return hub.ask("ipmpi_status_request")["stealing"]


def tasks_of(rc) -> dict[int, list[str]]:
    return {key: value["tasks"]
            for key, value in rc.queue_status(verbose=True).items()
            if key != "unassigned"}


@pytest.fixture(autouse=True)
def ours_only(kind):
    if kind != "ipmpi":
        pytest.skip("upstream's engines do not steal")


def test_tasks_behind_a_long_one_run_elsewhere(make_cluster, connect, gates):
    cluster = make_cluster(3)
    rc = connect(cluster)
    work = gates(rc.load_balanced_view())
    work.submit(40)
    work.open(*range(1, 40))  # all but the first
    for number, result in enumerate(work.results[1:], 1):
        assert result.get(timeout=WAIT)[0] == number
    begun = work.begun()
    assert all(len(pids) == 1 for pids in begun.values())
    slow = begun[0][0]
    assert [n for n, pids in begun.items() if pids == [slow]] == [0]
    seen = stealing(cluster)
    assert seen["on"] and seen["prefetch"] == 16
    assert seen["thefts"] > 0 and seen["stolen"] > 0
    assert seen["stolen"] >= seen["thefts"]
    work.open(0)
    assert work.results[0].get(timeout=WAIT) == (0, slow)
    status = rc.queue_status()
    assert status.pop("unassigned") == 0
    assert all(s["tasks"] == s["queue"] == 0 for s in status.values())


def test_without_stealing_they_wait(make_cluster, connect, gates):
    cluster = make_cluster(2, args=("--steal", "off", "--prefetch", "4"))
    rc = connect(cluster)
    work = gates(rc.load_balanced_view())
    work.submit(12)
    until(lambda: rc.queue_status()["unassigned"] == 2,
          "two engines with one task and 4 behind it, each")
    work.open(*range(1, 12))
    until(lambda: sum(r.ready() for r in work.results) == 7,
          "7 of 12 tasks: not the long one and the 4 behind it")
    assert sorted(len(t) for t in tasks_of(rc).values()) == [0, 5]
    work.open(0)
    for result in work.results:
        result.get(timeout=WAIT)
    assert stealing(cluster)["thefts"] == 0


def test_without_prefetch_rank_0_keeps_them(make_cluster, connect, gates):
    rc = connect(make_cluster(2, args=("--prefetch=0",)))
    work = gates(rc.load_balanced_view())
    work.submit(6)
    until(lambda: len(work.begun()) == 2, "two tasks begin")
    until(lambda: rc.queue_status()["unassigned"] == 4, "four wait at rank 0")
    work.open(*range(6))
    for result in work.results:
        result.get(timeout=WAIT)


@pytest.fixture
def stolen(make_cluster, connect, gates):
    """Two engines: one at task 0 for good; the other has stolen some of what
    waited behind it and runs the first of these. Yields client, gates, and
    the numbers of the others that it has stolen, oldest first."""
    cluster = make_cluster(2)
    rc = connect(cluster)
    work = gates(rc.load_balanced_view())
    work.submit(2)
    until(lambda: len(work.begun()) == 2, "both engines are busy")
    work.submit(16, retries=1, timeout=20)
    # The question takes another way than the tasks, and may be there first.
    until(lambda: sum(map(len, tasks_of(rc).values())) == 18,
          "all are sent ahead")
    tasks = {key: [work.number_of(i) for i in ids]
             for key, ids in tasks_of(rc).items()}
    slow = next(key for key, numbers in tasks.items() if 0 in numbers)
    fast = next(key for key in tasks if key != slow)
    work.open(*tasks[fast])
    moved = until(
        lambda: [n for n in map(work.number_of, tasks_of(rc)[fast])
                 if n in tasks[slow]], "a theft")
    until(lambda: moved[0] in work.begun(), "the stolen begins")
    assert len(moved) > 3
    yield rc, work, fast, moved
    work.open(*range(len(work.results)))
    for result in work.results:
        result.wait(WAIT)


def test_stolen_tasks_are_as_any_other(stolen):
    rc, work, thief, (first, second, third, *_) = stolen
    work.results[second].abort()
    with pytest.raises(ipp.error.TaskAborted):
        work.results[second].get(timeout=WAIT)
    with pytest.raises(ipp.error.RemoteError) as late:  # 20 s are over
        work.results[third].get(timeout=WAIT)
    assert late.value.ename == "TaskTimeout"
    work.open(first)
    assert work.results[first].get(timeout=WAIT)[0] == first
    assert work.results[first].engine_id == thief
    assert set(work.begun()) & {second, third} == set()


@pytest.mark.parametrize("who", ["thief", "victim"])
def test_deaths_of_thief_and_victim(stolen, who):
    """What had begun there is run again (retries) or reported, the rest runs
    once, wherever it was."""
    rc, work, thief, moved = stolen
    begun = work.begun()
    dead = begun[moved[0] if who == "thief" else 0][0]
    os.kill(dead, signal.SIGKILL)
    work.open(*range(len(work.results)))
    for number, result in enumerate(work.results):
        if who == "victim" and number == 0:  # had no retries
            with pytest.raises(ipp.error.RemoteError) as lost:
                result.get(timeout=WAIT)
            assert lost.value.ename == "EngineError"
            assert "signal 9" in lost.value.evalue
        else:
            assert result.get(timeout=WAIT)[0] == number
    again = {number for number, pids in work.begun().items() if len(pids) > 1}
    assert again <= ({moved[0]} if who == "thief" else set())


def test_a_victim_that_was_stopped(make_cluster, connect, gates):
    """Whoever asks it for work does not wait for it: others are asked."""
    rc = connect(make_cluster(3))
    work = gates(rc.load_balanced_view())
    work.submit(3)
    until(lambda: len(work.begun()) == 3, "all engines are busy")
    work.submit(45)
    until(lambda: sum(map(len, tasks_of(rc).values())) == 48,
          "all are sent ahead")
    tasks = {key: [work.number_of(i) for i in ids]
             for key, ids in tasks_of(rc).items()}
    (slow, (first, *behind)), (still, lost), (fast, _) = tasks.items()
    stopped = work.begun()[lost[0]][0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        work.open(*set(range(48)) - {first})
        for number in behind:  # all that waits for the slow one
            assert work.results[number].get(timeout=WAIT)[0] == number
        assert not work.results[first].ready()
    finally:
        os.kill(stopped, signal.SIGCONT)
    work.open(first)
    for number, result in enumerate(work.results):
        assert result.get(timeout=WAIT)[0] == number
    assert all(len(pids) == 1 for pids in work.begun().values())


def test_targets_are_kept(make_cluster, connect, gates):
    rc = connect(make_cluster(2))
    work = gates(rc.load_balanced_view())
    work.submit(2)
    until(lambda: len(work.begun()) == 2, "both engines are busy")
    target = work.begun()[0][0]
    pids = rc[:].apply_async(os.getpid)
    work.submit(3, targets=[next(
        key for key, ids in tasks_of(rc).items()
        if work.results[0].msg_ids[0] in ids)])
    work.submit(3)
    work.open(1, 2, 3, 4, 5, 6, 7)
    assert not work.results[2].ready()
    work.open(0)
    pids.get(timeout=WAIT)
    for number in (2, 3, 4):
        assert work.results[number].get(timeout=WAIT) == (number, target)
    for result in work.results:
        result.get(timeout=WAIT)
