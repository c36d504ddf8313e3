"""Several clients of one cluster: what one did the others can see, and eight
at once neither lose nor mix up anything."""

from __future__ import annotations

import random
import threading
import time

import ipyparallel as ipp
import pytest
from conftest import WAIT
from ipyparallel import interactive


@interactive
def work(who, n):
    print(f"<{who}:{n}>")
    return who, n


@pytest.fixture
def two(cluster, connect):
    """Two clients, and the results of the first one's four tasks."""
    first, second = connect(cluster), connect(cluster)
    first.purge_everything()
    view = first.load_balanced_view()
    done = [view.apply_async(work, "first", n) for n in range(3)]
    done.append(first[2].apply_async(work, "first", 3))
    for ar in done:
        ar.get(WAIT)
        ar.wait_for_output(WAIT)
    return first, second, [ar.msg_ids[0] for ar in done]


def test_results_by_msg_id(two):
    first, second, ids = two
    assert second.get_result(ids, block=False).get(WAIT) == [
        ("first", n) for n in range(4)]
    ar = second.get_result(ids[3], owner=False)
    assert ar.get(WAIT) == ("first", 3)
    assert ar.engine_id == 2
    assert "<first:3>" in ar.stdout


def test_result_of_a_running_task(two):
    first, second, ids = two
    running = first[0].apply_async(interactive(
        lambda: __import__("time").sleep(1.5) or "slept"))
    end = time.monotonic() + WAIT
    while second.queue_status(0)["queue"] + second.queue_status(0)["tasks"] < 1:
        assert time.monotonic() < end
    ar = second.get_result(running.msg_ids[0], block=False)
    assert ar.get(WAIT) == "slept"
    assert running.get(WAIT) == "slept"


def test_history_and_queries(two):
    first, second, ids = two
    assert second.hub_history() == ids
    found = second.db_query({"queue": "task"}, ["msg_id", "stdout"])
    assert {r["msg_id"] for r in found} == set(ids[:3])
    assert sorted(r["stdout"].strip() for r in found) == [
        f"<first:{n}>" for n in range(3)]
    uuid = {r["client_uuid"] for r in
            second.db_query({"msg_id": {"$in": ids}}, ["client_uuid"])}
    assert uuid == {first.session.session}


def test_purge(two):
    first, second, ids = two
    second.purge_hub_results(ids[:2])
    assert first.hub_history() == ids[2:]
    assert first.db_query({"msg_id": {"$in": ids[:2]}}, ["msg_id"]) == []


def test_resubmit(two):
    first, second, ids = two
    again = second.resubmit(ids[:3])
    assert sorted(again.get(WAIT)) == [("first", n) for n in range(3)]
    assert not set(again.msg_ids) & set(ids)
    assert first.hub_history()[:4] == ids
    assert first.get_result(again.msg_ids, block=False).get(WAIT) == list(
        again.get(WAIT))


class Hammer(threading.Thread):
    """One client that asks for this and that until the time is over, and
    checks that each answer is the one to its own question."""

    def __init__(self, cluster, name: str, seconds: float) -> None:
        super().__init__(name=name)
        self.rc = ipp.Client(profile_dir=str(cluster.profile_dir))
        self.seconds = seconds
        self.ids: list[str] = []
        self.printed: dict[str, str] = {}
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.hammer()
        except BaseException as error:
            self.error = error

    def hammer(self) -> None:
        dice = random.Random(self.name)
        ways = (self.one, self.all, self.balanced, self.fails, self.asks)
        end = time.monotonic() + self.seconds
        n = 0
        while time.monotonic() < end:
            n += 100
            dice.choice(ways)(n)

    def keep(self, ar):
        self.ids += ar.msg_ids
        return ar

    def one(self, n: int) -> None:
        ar = self.keep(self.rc[n // 100 % 4].apply_async(work, self.name, n))
        assert ar.get(WAIT) == (self.name, n)
        assert ar.wait_for_output(WAIT)
        assert ar.stdout == f"<{self.name}:{n}>\n"

    def all(self, n: int) -> None:
        ar = self.keep(self.rc[:].apply_async(work, self.name, n))
        assert ar.get(WAIT) == [(self.name, n)] * 4

    def balanced(self, n: int) -> None:
        view = self.rc.load_balanced_view()
        many = [self.keep(view.apply_async(work, self.name, n + i))
                for i in range(10)]
        assert [ar.get(WAIT) for ar in many] == [
            (self.name, n + i) for i in range(10)]

    def fails(self, n: int) -> None:
        ar = self.keep(self.rc[n // 100 % 4].execute(
            f"raise ValueError('{self.name}:{n}')", block=False))
        with pytest.raises(ipp.RemoteError) as caught:
            ar.get(WAIT)
        assert caught.value.evalue == f"{self.name}:{n}"

    def asks(self, n: int) -> None:
        assert self.rc.queue_status()["unassigned"] >= 0
        if self.ids:
            some = self.ids[-3:]
            found = self.rc.db_query({"msg_id": {"$in": some}}, ["msg_id"])
            assert {r["msg_id"] for r in found} == set(some)


@pytest.mark.parametrize("seconds", [
    20, pytest.param(60, marks=pytest.mark.long)])
@pytest.mark.seconds(240)
def test_eight_at_once(make_cluster, connect, seconds):
    cluster = make_cluster(4, args=("--db=sqlite",))  # keeps every record
    rc = connect(cluster)
    rc[0].apply_sync(work, "first", 0)  # ipyparallel's first call in a process
    rc.purge_everything()               # is not safe among threads
    hammers = [Hammer(cluster, f"client{i}", seconds) for i in range(8)]
    try:
        for hammer in hammers:
            hammer.start()
        for hammer in hammers:
            hammer.join(seconds + 4 * WAIT)
            assert not hammer.is_alive(), hammer.name
        for hammer in hammers:
            if hammer.error:
                raise hammer.error
        sent = [i for hammer in hammers for i in hammer.ids]
        print(f"{len(sent)} messages in {seconds} s")
        assert len(set(sent)) == len(sent)
        assert all(hammer.ids for hammer in hammers)
        assert sorted(rc.hub_history()) == sorted(sent)
        done = rc.db_query({"completed": {"$ne": None}}, ["msg_id"])
        assert len(done) == len(sent)
        status = rc.queue_status()
        assert status.pop("unassigned") == 0
        assert all(one["queue"] == one["tasks"] == 0
                   for one in status.values())
    finally:
        for hammer in hammers:
            hammer.rc.close()
