"""Mistakes and collisions: each a clear error where the user looks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess

import ipyparallel as ipp
import pytest
from harness import places
from harness.cluster import Cluster, free_port
from ipyparallel import interactive
from raw import RawClient

STRANGER = b"0badcafe-000000000000000000000000"


def refused(cluster: Cluster, status: int | None, *words: str) -> None:
    """The start fails, with one message that has the words."""
    code = cluster.run_to_end()
    log = cluster.log()
    assert code == status if status is not None else code != 0, log
    for word in words:
        assert word in log, log
    cluster.wait_end(5)
    assert not cluster.connection_file.exists()


@pytest.mark.parametrize("flag, word", [
    ("--nonsense", "nonsense"),
    ("--scheme=sideways", "sideways"),
    ("--port=many", "many"),
    ("--db=oracle", "oracle"),
    ("stray", "stray"),
])
def test_wrong_flags(make_cluster, flag, word):
    cluster = make_cluster(2, start=False, args=(flag,))
    refused(cluster, 2, word)
    told = [line for line in cluster.log().splitlines() if word in line]
    assert len(told) == 1, "one rank speaks for all"


@pytest.mark.parametrize("flag, text", [("--help", "mpirun -np"),
                                        ("--version", "0.")])
def test_help_and_version_need_no_mpirun(flag, text):
    done = subprocess.run([places.ENGINE, flag], capture_output=True,
                          text=True, timeout=20, stdin=subprocess.DEVNULL)
    assert done.returncode == 0
    assert text in done.stdout


def test_profile_cannot_be_written(make_cluster, tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("in the way")
    cluster = make_cluster(1, start=False,
                           args=(f"--profile-dir={blocker}/profile",))
    refused(cluster, None, str(blocker))


def test_connection_file_cannot_be_written(make_cluster):
    """Noticed when all else is up; as with a disk that is full by then."""
    cluster = make_cluster(1, start=False)
    cluster.connection_file.mkdir(parents=True)
    assert cluster.run_to_end() != 0
    cluster.wait_end(5)
    assert cluster.log().count(f"cannot write {cluster.connection_file}") == 1
    assert "ready" not in cluster.log()
    assert not cluster.file("engine").exists()


def test_busy_port(make_cluster):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        cluster = make_cluster(1, start=False, args=(f"--port={port}",))
        refused(cluster, None, str(port))


def test_chosen_port(make_cluster, connect):
    port = free_port()
    cluster = make_cluster(1, args=(f"--port={port}",))
    assert cluster.info()["registration"] == port
    assert connect(cluster).ids == [0]


def test_second_start(make_cluster, connect):
    first = make_cluster(1)
    before = first.connection_file.read_text()
    second = make_cluster(1, start=False, ipython_dir=first.ipython_dir)
    assert second.run_to_end() != 0
    assert str(first.profile_dir) in second.log()
    second.wait_end(5)
    assert first.connection_file.read_text() == before
    assert connect(first)[:].apply_sync(interactive(lambda: 7)) == [7]


def test_stale_files_are_replaced(make_cluster, connect):
    """A cluster that was killed leaves files; the next start heals that."""
    first = make_cluster(1)
    first.note()
    os.kill(first.controller(), signal.SIGKILL)  # before its nanny warns it
    first.wait_end(10)
    assert first.connection_file.exists()
    second = make_cluster(1, ipython_dir=first.ipython_dir)
    assert connect(second)[:].apply_sync(interactive(lambda: 7)) == [7]


def test_unknown_engine_in_client(rc):
    with pytest.raises(IndexError):
        rc[99]
    with pytest.raises(LookupError):
        rc.queue_status([99])


@pytest.mark.parametrize("msg_type", ["apply_request", "execute_request"])
def test_unknown_engine_on_mux(cluster, msg_type):
    with RawClient(cluster.info()) as raw:
        reply = raw.ask("mux", msg_type, route=(STRANGER,),
                        content={"code": "1", "silent": False})
        assert reply["type"] == msg_type.replace("request", "reply")
        assert reply["content"]["status"] == "error"
        assert reply["content"]["ename"] == "EngineError"
        assert reply["content"]["engine_info"] == {}


def test_unknown_engine_on_control(cluster):
    with RawClient(cluster.info()) as raw:
        reply = raw.ask("control", "clear_request", route=(STRANGER,))
        assert reply["content"]["status"] == "error"
        assert reply["content"]["ename"] == "EngineError"


@pytest.mark.parametrize("content, ename", [
    ({"targets": [99], "verbose": False}, "IndexError"),
    ({"targets": [], "verbose": False}, "IndexError"),
    ({}, "KeyError"),
])
def test_queue_request_errors(cluster, content, ename):
    with RawClient(cluster.info()) as raw:
        reply = raw.ask("registration", "queue_request", content=content)
        assert reply["content"]["status"] == "error"
        assert reply["content"]["ename"] == ename


def test_unknown_hub_request(cluster):
    with RawClient(cluster.info()) as raw:
        reply = raw.ask("registration", "flattery_request")
        assert reply["type"] == "hub_error"
        assert reply["content"]["ename"] == "KeyError"
        assert "flattery_request" in reply["content"]["evalue"]


def test_unknown_msg_id(rc):
    for call in (lambda: rc.get_result("no-such-id").get(10),
                 lambda: rc.result_status("no-such-id"),
                 lambda: rc.resubmit("no-such-id").get(10)):
        with pytest.raises(ipp.error.RemoteError) as caught:
            call()
        assert caught.value.ename == "KeyError"
        assert "no-such-id" in str(caught.value)


@pytest.mark.parametrize("content", [
    {"query": {"stdout": {"$sideways": 1}}, "keys": None},
    {"query": {}, "keys": ["no_such_field"]},
])
def test_db_request_errors(cluster, rc, content):
    rc[0].apply_sync(interactive(lambda: 1))  # so that there is a record
    with RawClient(cluster.info()) as raw:
        reply = raw.ask("registration", "db_request", content=content)
        assert reply["type"] == "db_reply"
        assert reply["content"]["ename"] == "KeyError"


def test_unknown_request_on_mux_is_forgotten(cluster, rc):
    """No reply, and nothing stays in the queue's count."""
    with RawClient(cluster.info()) as raw:
        hello = raw.ask("registration", "connection_request")
        uuid = hello["content"]["engines"]["0"].encode()
        raw.send("mux", raw.frames("sing_request", route=(uuid,)))
        assert raw.receive("mux", 0.5) is None
    assert rc[0].apply_sync(interactive(lambda: 3)) == 3
    assert rc.queue_status(0)["queue"] == 0
