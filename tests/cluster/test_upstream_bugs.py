"""What ipyparallel's own controller gets wrong and ours gets right, one test
for each. With --cluster=upstream each must fail: that shows the bug is real.
"""

from __future__ import annotations

import os
import signal
import time

import ipyparallel as ipp
import pytest
from conftest import WAIT
from ipyparallel import interactive
from raw import RawClient

STRANGER = b"0badcafe-000000000000000000000000"


@pytest.fixture(autouse=True)
def upstream_fails(request, kind):
    if kind == "upstream":
        request.applymarker(pytest.mark.xfail(
            strict=True, reason="a bug of upstream's controller"))


@pytest.fixture
def mortal_cluster(make_cluster):
    """Four engines that a test may kill."""
    return make_cluster(4)


@pytest.fixture
def mortal(mortal_cluster, connect):
    """A client of those."""
    return connect(mortal_cluster)


def kill(rc: ipp.Client, engine: int) -> None:
    """Kills an engine and returns when the client knows."""
    pid = rc[engine].apply_async(os.getpid).get(WAIT)
    os.kill(pid, signal.SIGKILL)
    until(lambda: engine not in rc.ids)


def until(condition, seconds: float = WAIT) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.01)


@interactive
def wait_for(path):
    """Blocks its engine until a file is there; returns the file's name."""
    import os
    import time
    end = time.monotonic() + 60
    while not os.path.exists(path):
        assert time.monotonic() < end
        time.sleep(0.01)
    return path


@interactive
def append(path, n):
    with open(path, "a") as file:
        file.write(f"{n}\n")
    return n


# -- queue_status ----------------------------------------------------------

def test_queue_status_has_no_dead_engines(mortal):
    kill(mortal, 1)
    assert set(mortal.queue_status()) == {0, 2, 3, "unassigned"}


def test_queue_status_returns_to_zero(cluster, connect):
    """After tasks that two engines tried, and that failed on both."""
    rc = connect(cluster)
    view = rc.load_balanced_view()

    @ipp.depend(interactive(
        lambda: get_ipython().kernel.engine_id == 1))  # noqa: F821
    @interactive
    def only_on_one():
        return 1

    with view.temp_flags(retries=1):
        failing = view.apply_async(interactive(lambda: 1 / 0))
        with pytest.raises(ipp.error.RemoteError):
            failing.get(WAIT)
    choosy = [view.apply_async(only_on_one) for _ in range(4)]
    assert [ar.get(WAIT) for ar in choosy] == [1] * 4
    with view.temp_flags(after=[failing]):
        with pytest.raises(ipp.error.RemoteError):
            view.apply_async(time.sleep, 0).get(WAIT)
    status = rc.queue_status()
    assert status.pop("unassigned") == 0
    for engine in status.values():
        assert engine["queue"] == engine["tasks"] == 0


# -- records ---------------------------------------------------------------

def test_other_clients_get_the_result_of_a_dead_engine(mortal_cluster, mortal, connect):
    """Its record is complete as soon as the engine is known to be dead."""
    other = connect(mortal_cluster)
    running = mortal[2].apply_async(time.sleep, 60)
    waiting = mortal[2].apply_async(time.sleep, 60)
    until(lambda: mortal.queue_status(2)["queue"] == 2)
    mortal.send_signal("SIGKILL", targets=2)
    until(lambda: 2 not in other.ids)
    for ar in (running, waiting):
        with pytest.raises(ipp.error.RemoteError) as caught:
            other.get_result(ar.msg_ids[0], block=False).get(WAIT)
        assert caught.value.ename == "EngineError"
        (record,) = other.db_query({"msg_id": ar.msg_ids[0]})
        assert record["result_header"]["msg_type"] == "apply_reply"
        assert record["result_metadata"]["status"] == "error"
        assert record["completed"] is not None


def test_results_known_only_to_the_database(make_cluster, connect, tmp_path):
    """Asked together with a task that still runs, each is told apart."""
    args = ("--sqlitedb",)
    first = make_cluster(1, args=args)
    rc = connect(first)
    old = [rc[0].apply_async(interactive(lambda n: n), n) for n in range(3)]
    assert [ar.get(WAIT) for ar in old] == [0, 1, 2]
    ids = [ar.msg_ids[0] for ar in old]
    rc.close()
    first.stop(20 if first.kind == "upstream" else 5)
    second = make_cluster(1, ipython_dir=first.ipython_dir, args=args)
    rc = connect(second)
    gate = str(tmp_path / "gate")
    new = rc[0].apply_async(wait_for, gate)
    until(lambda: rc.queue_status(0)["queue"] == 1)
    other = connect(second)
    status = other.result_status([*new.msg_ids, *ids])
    assert status["pending"] == new.msg_ids
    assert sorted(status["completed"]) == sorted(ids)
    ar = other.get_result([*new.msg_ids, *ids], block=False)
    open(gate, "w").close()
    assert ar.get(WAIT) == [gate, 0, 1, 2]


def test_broadcasts_leave_no_ghosts(cluster, connect):
    rc = connect(cluster)
    rc.purge_everything()
    view = rc.broadcast_view()
    ar = view.apply_async(interactive(lambda: print("boo")))
    ar.get(WAIT)
    ar.wait_for_output(WAIT)
    assert [out.strip() for out in ar.stdout] == ["boo"] * 4
    real = rc[0].apply_async(interactive(lambda: print("I am")))
    real.get(WAIT)
    found = rc.db_query({"msg_id": {"$ne": ""}}, ["msg_id", "submitted"])
    assert [record["msg_id"] for record in found] == real.msg_ids
    assert found[0]["submitted"] is not None


@pytest.fixture
def five(cluster, connect):
    """A client with five records, and their msg_ids in order."""
    rc = connect(cluster)
    rc.purge_everything()
    ids = []
    for n in range(5):
        ar = rc[n % 2].apply_async(interactive(lambda: None))
        ar.get(WAIT)
        ids += ar.msg_ids
    return rc, ids


def test_greater_is_not_less(five):
    rc, ids = five
    second = rc.db_query({"msg_id": ids[1]}, ["submitted"])[0]["submitted"]
    found = rc.db_query({"submitted": {"$gt": second}}, ["msg_id"])
    assert sorted(r["msg_id"] for r in found) == sorted(ids[2:])


def test_several_equalities_all_count(five):
    rc, ids = five
    (record,) = rc.db_query({"msg_id": ids[0]}, ["engine_uuid"])
    found = rc.db_query({"engine_uuid": record["engine_uuid"],
                         "queue": "mux", "resubmitted": None}, ["msg_id"])
    assert sorted(r["msg_id"] for r in found) == sorted(ids[::2])


def test_resubmit_keeps_the_label(cluster, connect):
    rc = connect(cluster)
    view = rc.load_balanced_view()
    if not hasattr(view, "label"):  # before 9.1 there are none
        with RawClient(cluster.info()) as raw:
            assert raw.ask("registration", "resubmit_request", content={
                "msg_ids": ["none"]})["content"]["ename"] == "KeyError"
        return
    with view.temp_flags(label="kept"):
        ar = view.apply_async(interactive(lambda: 5))
    assert ar.get(WAIT) == 5
    again = rc.resubmit(ar.msg_ids)
    assert again.get(WAIT) == [5]
    found = rc.db_query({"label": "kept"}, ["msg_id", "metadata"])
    assert {r["msg_id"] for r in found} == {*ar.msg_ids, *again.msg_ids}


# -- broadcasts ------------------------------------------------------------

def test_coalesced_broadcast_keeps_the_order_of_its_targets(cluster, connect):
    rc = connect(cluster)
    for targets in ([0, 1, 2, 3], [3, 1, 0], [2, 1]):
        view = rc.broadcast_view(targets, is_coalescing=True)
        ar = view.apply_async(interactive(
            lambda: get_ipython().kernel.engine_id))  # noqa: F821
        assert ar.get(WAIT) == targets
        assert ar.engine_id == targets


@pytest.mark.parametrize("bad", range(4))
def test_coalesced_broadcast_fails_if_one_fails(cluster, connect, bad):
    """Whichever of them was the last to answer."""
    @interactive
    def one_fails(bad):
        import time
        number = get_ipython().kernel.engine_id  # noqa: F821
        if number == bad:
            raise IndexError(f"number {bad}")
        time.sleep(0.3)  # the good ones answer last
        return number

    view = connect(cluster).broadcast_view(is_coalescing=True)
    with pytest.raises(ipp.error.RemoteError) as caught:
        view.apply_async(one_fails, bad).get(WAIT)
    assert caught.value.ename == "IndexError"
    assert str(bad) in caught.value.evalue


# -- replies ---------------------------------------------------------------

def test_load_reply_names_engines(cluster):
    with RawClient(cluster.info()) as raw:
        reply = raw.ask("registration", "load_request")
        assert reply["type"] == "load_reply"
        loads = dict(reply["content"])
        assert loads.pop("status") == "ok"
        assert loads == {str(i): 0 for i in range(4)}


def test_signal_reply_has_its_name(cluster):
    with RawClient(cluster.info()) as raw:
        hello = raw.ask("registration", "connection_request")
        uuid = hello["content"]["engines"]["0"].encode()
        reply = raw.ask("control", "signal_request", route=(uuid,),
                        content={"sig": 0})
        assert reply["type"] == "signal_reply"
        assert reply["content"]["status"] == "ok"


@pytest.mark.parametrize("content", [{}, {"msg_ids": None}],
                         ids=["none", "null"])
def test_abort_of_nothing_is_answered(cluster, content):
    with RawClient(cluster.info()) as raw:
        hello = raw.ask("registration", "connection_request")
        uuid = hello["content"]["engines"]["0"].encode()
        reply = raw.ask("control", "abort_request", route=(uuid,),
                        content=content)
        assert reply["type"] == "abort_reply"
        assert reply["content"]["status"] == "ok"


@pytest.mark.parametrize("channel, msg_type", [
    ("control", "clear_request"), ("control", "signal_request"),
    ("mux", "apply_request"), ("mux", "execute_request")])
def test_unknown_engine_is_answered(cluster, channel, msg_type):
    with RawClient(cluster.info()) as raw:
        reply = raw.ask(channel, msg_type, route=(STRANGER,),
                        content={"code": "1", "silent": False, "sig": 0})
        assert reply["content"]["status"] == "error"
        assert reply["content"]["ename"] == "EngineError"


# -- the task scheduler ----------------------------------------------------

def test_waiting_tasks_stay_in_order(cluster, connect, tmp_path):
    """However often others end meanwhile and the queue is looked at."""
    rc = connect(cluster)
    view = rc.load_balanced_view()
    gate, told = str(tmp_path / "gate"), str(tmp_path / "told")
    with view.temp_flags(targets=[0]):
        first = view.apply_async(wait_for, gate)
        until(lambda: rc.queue_status(0)["tasks"])
        waiting = [view.apply_async(append, told, n) for n in range(6)]
    with view.temp_flags(targets=[1]):
        for _ in range(3):
            assert view.apply_async(interactive(lambda: 1)).get(WAIT) == 1
    open(gate, "w").close()
    assert first.get(WAIT) == gate
    assert [ar.get(WAIT) for ar in waiting] == list(range(6))
    assert open(told).read().split() == [str(n) for n in range(6)]


def test_aborted_tasks_are_not_retried(cluster, connect, tmp_path):
    rc = connect(cluster)
    view = rc.load_balanced_view()
    gate, told = str(tmp_path / "gate"), str(tmp_path / "told")
    with view.temp_flags(targets=[0]):
        first = view.apply_async(wait_for, gate)
        until(lambda: rc.queue_status(0)["tasks"])
    with view.temp_flags(targets=[0, 1], after=[first], retries=3):
        second = view.apply_async(append, told, 1)
    rc.abort(second.msg_ids, targets=[0], block=True)
    open(gate, "w").close()
    with pytest.raises(ipp.error.TaskAborted):
        second.get(WAIT)
    assert first.get(WAIT) == gate
    for i in rc.ids:  # whoever might have been given it has gone on
        assert rc[i].apply_async(interactive(lambda: 1)).get(WAIT) == 1
    assert not os.path.exists(told)


def test_follow_to_a_dead_engine_is_impossible(mortal):
    view = mortal.load_balanced_view()
    with view.temp_flags(targets=[1]):
        first = view.apply_async(interactive(lambda: 1))
    assert first.get(WAIT) == 1
    kill(mortal, 1)
    with view.temp_flags(follow=[first]):
        second = view.apply_async(interactive(lambda: 2))
    with pytest.raises(ipp.error.RemoteError) as caught:
        second.get(WAIT)
    assert caught.value.ename == "ImpossibleDependency"


@interactive
def leave_a_trace_and_sleep(path):
    import time
    open(path, "x").close()
    time.sleep(60)


def test_task_of_a_dead_engine_is_decided_at_once(mortal, tmp_path):
    """Upstream waits for 5 s whether a result still comes. Ours is told
    before a task of 4 s that starts when the engine is known to be dead."""
    view = mortal.load_balanced_view()
    begun = tmp_path / "begun"
    with view.temp_flags(targets=[3]):
        lost = view.apply_async(leave_a_trace_and_sleep, str(begun))
    until(begun.exists)
    mortal.send_signal("SIGKILL", targets=3)
    until(lambda: 3 not in mortal.ids)
    other = mortal[0].apply_async(time.sleep, 4)
    with pytest.raises(ipp.error.RemoteError) as caught:
        lost.get(WAIT)
    assert caught.value.ename == "EngineError"
    assert not other.ready()


def test_scheme_pure_is_refused(make_cluster):
    cluster = make_cluster(1, start=False, args=("--scheme=pure",))
    assert cluster.run_to_end() == 2
    assert "pure" in cluster.log()
