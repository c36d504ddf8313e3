"""The task database: its queries, and how it lives through a restart."""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime, timedelta, timezone

import ipyparallel as ipp
import pytest
from ipyparallel import interactive


@interactive
def shout(n):
    print("n is", n)
    return n * n


@interactive
def wait_for(path, seconds=60):
    import os
    import time

    end = time.monotonic() + seconds
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.01)
    return path


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end


@pytest.fixture(scope="module")
def filled(cluster):
    """A client whose cluster has ten records, and their msg_ids in order."""
    rc = ipp.Client(profile_dir=str(cluster.profile_dir))
    rc.wait_for_engines(4, timeout=30)
    rc.purge_everything()
    ids = []
    for n in range(5):
        ar = rc[n % 4].apply_async(shout, n)
        ar.get(10)
        ids += ar.msg_ids
    view = rc.load_balanced_view()
    for n in range(5):
        ar = view.apply_async(shout, n)
        ar.get(10)
        ar.wait_for_output(10)
        ids += ar.msg_ids
    yield rc, ids
    rc.close()


def found(rc, query, keys=("msg_id",)):
    return [r["msg_id"] for r in rc.db_query(query, list(keys))]


def test_everything(filled):
    rc, ids = filled
    assert sorted(found(rc, {"msg_id": {"$ne": ""}})) == sorted(ids)


def test_history_is_in_order(filled):
    rc, ids = filled
    assert rc.hub_history() == ids


@pytest.mark.parametrize("query, want", [
    ({"queue": "mux"}, 5), ({"queue": {"$eq": "task"}}, 5),
    ({"queue": {"$ne": "task"}}, 5),
    ({"queue": "mux", "resubmitted": None}, 5),
    ({"queue": "task", "stderr": "nothing"}, 0),
    ({"queue": {"$in": ["mux", "task"]}}, 10), ({"queue": {"$in": []}}, 0),
    ({"queue": {"$nin": ["mux"]}}, 5), ({"queue": {"$nin": []}}, 10),
    ({"stdout": {"$glob": "n is [34]*"}}, 4),
    ({"stdout": {"$glob": "N IS*"}}, 0),
    ({"error": {"$exists": False}}, 10), ({"queue": {"$exists": True}}, 10),
])
def test_operators(filled, query, want):
    rc, ids = filled
    assert len(found(rc, query)) == want


@pytest.mark.parametrize("op, want", [
    ("$lt", slice(0, 3)), ("$lte", slice(0, 4)),
    ("$gt", slice(4, 10)), ("$gte", slice(3, 10)), ("$eq", slice(3, 4)),
])
def test_dates_compare_as_instants(filled, op, want):
    rc, ids = filled
    third = rc.db_query({"msg_id": ids[3]}, ["submitted"])[0]["submitted"]
    moved = third.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert isinstance(third, datetime)
    for date in (third, moved):
        assert sorted(found(rc, {"submitted": {op: date}})) == sorted(
            ids[want])


def test_null_matches_no_order(filled):
    rc, ids = filled
    past = datetime(2000, 1, 1, tzinfo=timezone.utc)
    waiting = rc[0].apply_async(time.sleep, 1)
    assert waiting.msg_ids[0] not in found(
        rc, {"completed": {"$gt": past}})
    assert waiting.msg_ids[0] in found(rc, {"completed": None})
    waiting.get(10)
    rc.purge_results(waiting)


def test_buffers_come_back(filled):
    rc, ids = filled
    record = rc.db_query({"msg_id": ids[4]},
                         ["buffers", "result_buffers"])[0]
    assert record["buffers"] and record["result_buffers"]
    result = ipp.serialize.deserialize_object(record["result_buffers"])[0]
    assert result == 16


def test_another_client_reads_results(filled, cluster, connect):
    rc, ids = filled
    other = connect(cluster)
    assert other.get_result(ids).get(10) == [0, 1, 4, 9, 16] * 2
    assert other.get_result(ids[7]).get(10) == 4
    status = other.result_status(ids)
    assert sorted(status["completed"]) == sorted(ids)
    assert status["pending"] == []


def test_purge(cluster, connect):
    rc = connect(cluster)
    ar = rc[0].apply_async(shout, 7)
    ar.get(10)
    kept = rc[1].apply_async(shout, 8)
    kept.get(10)
    rc.purge_hub_results(ar)
    other = connect(cluster)
    with pytest.raises(ipp.error.RemoteError) as caught:
        other.get_result(ar.msg_ids[0]).get(10)
    assert caught.value.ename == "KeyError"
    assert other.get_result(kept.msg_ids[0]).get(10) == 64


def test_resubmit(cluster, connect):
    rc = connect(cluster)
    ar = rc.load_balanced_view().apply_async(shout, 9)
    assert ar.get(10) == 81
    again = rc.resubmit(ar.msg_ids)
    assert again.get(10) == [81]
    record = rc.db_query({"msg_id": ar.msg_ids[0]}, ["resubmitted"])[0]
    assert record["resubmitted"] == again.msg_ids[0]


def test_sqlite_lives_through_a_restart(make_cluster, connect):
    args = {"ipmpi": ("--db", "sqlite"), "upstream": ("--sqlitedb",)}
    first = make_cluster(2, start=False)
    first.args = args[first.kind]
    first.start()
    rc = connect(first)
    ars = [rc.load_balanced_view().apply_async(shout, n) for n in range(4)]
    ars.append(rc[1].apply_async(shout, 10))
    ids = [ar.msg_ids[0] for ar in ars]
    assert [ar.get(10) for ar in ars] == [0, 1, 4, 9, 100]
    for ar in ars:
        ar.wait_for_output(10)
    rc.close()
    first.stop(20 if first.kind == "upstream" else 5)
    assert (first.profile_dir / "tasks.db").exists()
    second = make_cluster(2, start=False, ipython_dir=first.ipython_dir,
                          args=args[first.kind])
    second.start()
    rc = connect(second)
    assert rc.hub_history() == ids
    assert rc.get_result(ids).get(10) == [0, 1, 4, 9, 100]
    out = rc.db_query({"msg_id": ids[3]}, ["stdout"])[0]["stdout"]
    assert out == "n is 3\n"
    ar = rc[0].apply_async(shout, 11)
    assert ar.get(10) == 121
    assert rc.hub_history() == ids + ar.msg_ids


@pytest.fixture
def sharing(make_cluster, kind):
    """Two clusters of one profile, with one database."""
    if kind != "ipmpi":
        pytest.skip("upstream's controllers commit when they like")
    first = make_cluster(1, cluster_id="a", args=("--db", "sqlite"))
    second = make_cluster(1, cluster_id="b", args=("--db", "sqlite"),
                          ipython_dir=first.ipython_dir, start=False)
    yield first, second
    if second.process is not None:
        second.send_signal(signal.SIGTERM)
        second.wait_end()  # before the first, which looks what is left


def test_what_is_purged_is_gone_for_all(sharing, connect):
    first, second = sharing
    second.start()
    one, two = connect(first), connect(second)
    ars = [one[0].apply_async(shout, n) for n in range(3)]
    ids = [ar.msg_ids[0] for ar in ars]
    assert [ar.get(10) for ar in ars] == [0, 1, 4]
    assert sorted(found(one, {})) == sorted(found(two, {})) == sorted(ids)
    one.purge_hub_results(ids[:1])
    assert ids[0] not in found(two, {})
    one.purge_everything()
    assert found(two, {}) == []


def test_another_cluster_does_not_lose_ours(sharing, connect, tmp_path):
    first, second = sharing
    one = connect(first)
    go = tmp_path / "go"
    ar = one[0].apply_async(wait_for, str(go))
    until(lambda: found(one, {}) == ar.msg_ids)  # as on the disk
    second.start()
    two = connect(second)
    assert found(two, {"completed": None}) == ar.msg_ids
    go.touch()
    assert ar.get(10) == str(go)
    assert found(one, {"completed": None}) == []
    assert two.get_result(ar.msg_ids[0]).get(10) == str(go)


def test_no_database(make_cluster, connect):
    rc = connect(make_cluster(1, args=("--nodb",)))
    ar = rc[0].apply_async(os.getpid)
    assert ar.get(10)
    with pytest.raises(ipp.error.RemoteError):
        rc.db_query({"msg_id": ar.msg_ids[0]})
