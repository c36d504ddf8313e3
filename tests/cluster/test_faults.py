"""What becomes of work when its engine dies or stands still, exactly."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import ipyparallel as ipp
import pytest
from harness.journal import Journal, job
from harness.memory_group import memory_group
from ipyparallel import interactive

WAIT = 30


@pytest.fixture(autouse=True)
def only_here(kind):
    if kind != "ipmpi":
        pytest.skip("upstream's engines die in another way")


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal")


def until(condition, what: str, seconds: float = WAIT) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def begun(journal, task: str) -> bool:
    return journal.counts()[task]["B"] > 0


def run(view, journal, task: str, seconds: float = 0.0):
    return view.apply_async(interactive(job), str(journal.path), task, seconds)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV,
                                    signal.SIGABRT, signal.SIGBUS],
                         ids=lambda n: n.name)
def test_only_what_had_begun_is_lost(make_cluster, connect, journal, number):
    """One task runs, others wait at its engine; these run elsewhere, once,
    although they may not be retried."""
    cluster = make_cluster(1, args=("--hwm=8",))
    rc = connect(cluster)
    view = rc.load_balanced_view()
    pid = rc[0].apply_sync(os.getpid)
    first = run(view, journal, "first", 60)
    others = [run(view, journal, f"other{n}") for n in range(6)]
    until(lambda: begun(journal, "first"), "the first task does not begin")
    os.kill(pid, number)
    with pytest.raises(ipp.RemoteError) as caught:
        first.get(WAIT)
    assert caught.value.ename == "EngineError"
    text = caught.value.evalue
    assert first.msg_ids[0] in text
    assert re.search(rf"engine 0 \(rank 1 on \S+, pid {pid}\) was killed by "
                     rf"signal {number:d} \(", text)
    cluster.add_engines(1)
    assert [ar.get(WAIT) for ar in others] == [f"other{n}" for n in range(6)]
    counts = journal.counts()
    assert all(counts[f"other{n}"] == {"B": 1, "E": 1} for n in range(6))
    assert counts["first"] == {"B": 1}
    assert "ENGINE-GUESS" not in cluster.log()


def test_direct_work_says_how_its_engine_died(make_cluster, connect, journal,
                                              capfd):
    """A client that hears only that an engine has gone can say no more: the
    replies come before that."""
    rc = connect(make_cluster(2))
    pid = rc[0].apply_sync(os.getpid)
    first = run(rc[0], journal, "first", 60)
    second = run(rc[0], journal, "second")
    until(lambda: begun(journal, "first"), "the first call does not begin")
    os.kill(pid, signal.SIGSEGV)
    for ar, when in ((first, "while running"), (second, "before it began")):
        with pytest.raises(ipp.RemoteError) as caught:
            ar.get(WAIT)
        assert caught.value.ename == "EngineError"
        assert re.search(rf"died {when} task '{ar.msg_ids[0]}': engine 0 "
                         rf"\(rank 1 on \S+, pid {pid}\) was killed by "
                         r"signal 11 \(", caught.value.evalue)
    until(lambda: rc.ids == [1], "the engine is still there")
    assert "stale" not in capfd.readouterr().out
    assert journal.counts() == {"first": {"B": 1}}


def test_what_had_begun_is_retried_if_it_may_be(make_cluster, connect,
                                                journal):
    cluster = make_cluster(2)
    rc = connect(cluster)
    view = rc.load_balanced_view()
    with view.temp_flags(retries=1):
        ar = view.apply_async(interactive(job), str(journal.path), "a", 0.1,
                              "exit")
    assert ar.get(WAIT) == "a"
    assert journal.counts()["a"] == {"B": 2, "E": 1}
    assert "exited with code 3" in cluster.log()


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize("stopped", [False, True], ids=["reads", "stopped"])
def test_much_is_on_its_way_to_it(make_cluster, connect, stopped):
    """By TCP, as between nodes and to engines that were added: there Open MPI
    ends the sender, too, unless it is kept from it (note [hang-up])."""
    cluster = make_cluster(2, env={"OMPI_MCA_btl": "self,tcp"})
    rc = connect(cluster)
    pid = rc[0].apply_sync(os.getpid)
    before = resident(pid)
    if stopped:
        os.kill(pid, signal.SIGSTOP)
    pushes = [rc[0].push({"x": bytes(64 << 20)}, block=False)
              for _ in range(3)]
    if stopped:
        until(lambda: rc.queue_status()[0]["queue"] == 3, "no push comes")
    else:
        until(lambda: resident(pid) > before + (8 << 20), "nothing comes")
    os.kill(pid, signal.SIGKILL)
    for push in pushes:
        with pytest.raises(ipp.RemoteError, match="EngineError"):
            push.get(WAIT)
    assert rc[1].push({"x": bytes(1 << 20)}, block=False).get(WAIT) is None
    assert cluster.process.poll() is None


def test_an_engine_that_stands_still(make_cluster, connect, journal):
    """SIGSTOP for a while: the others go on; then it does with what waits at
    it, and nothing was lost or run twice."""
    cluster = make_cluster(3)
    rc = connect(cluster)
    view = rc.load_balanced_view()
    ars = [run(view, journal, f"t{n}", 0.05) for n in range(20)]
    until(lambda: len(journal.writers()) == 3, "not all engines work")
    still = journal.writers()[0]
    os.kill(still, signal.SIGSTOP)
    try:
        others = [run(view, journal, f"u{n}", 0.01) for n in range(60)]
        # All but what runs there and what was sent ahead (--prefetch).
        until(lambda: sum(ar.ready() for ar in ars + others) >= 80 - 17,
              "the others do not go on")
        assert len(rc.ids) == 3
    finally:
        os.kill(still, signal.SIGCONT)
    names = [f"t{n}" for n in range(20)] + [f"u{n}" for n in range(60)]
    assert [ar.get(WAIT) for ar in ars + others] == names
    counts = journal.counts()
    assert all(counts[name] == {"B": 1, "E": 1} for name in names)
    assert "ENGINE-LOST" not in cluster.log()


@interactive
def devour(mega):
    return len(bytearray(b"x") * (mega << 20))


def test_the_kernel_kills_for_lack_of_memory(make_cluster, connect):
    """It looks like SIGKILL, and the report says what the kernel counted.
    Where no cgroup can be made, we do what the kernel would."""
    cluster = make_cluster(2)
    rc = connect(cluster)
    pid = rc[0].apply_sync(os.getpid)
    with memory_group(64) as put:
        if put is None:
            ar = rc[0].apply_async(time.sleep, WAIT)
            os.kill(pid, signal.SIGKILL)
        else:
            put(pid)
            ar = rc[0].apply_async(devour, 512)
        with pytest.raises(ipp.RemoteError, match="EngineError"):
            ar.get(WAIT)
        until(lambda: "ENGINE-LOST" in cluster.log(), "not noticed")
    line = re.search("ENGINE-LOST.*", cluster.log()).group(0)
    assert "was killed by signal 9 (Killed)" in line
    assert put is None or "which ran out of memory" in line
    assert rc[1].apply_sync(devour, 1) == 1 << 20
