"""ipyparallel's own SQLiteDB reads the task database that we write, and we
read the one that it writes.

The program taskdb_tool (taskdb_tool.c) is found through the environment
variable IPMPI_TASKDB_TOOL.
"""
import json
import logging
import os
import subprocess
from datetime import datetime, timedelta, timezone

import pytest

sqlitedb = pytest.importorskip("ipyparallel.controller.sqlitedb")

T0 = datetime(2023, 11, 14, 22, 13, 20, tzinfo=timezone.utc)


class UpstreamDB(sqlitedb.SQLiteDB):
    """ipyparallel's class, made to recognise tables.

    Since SQLite 3.37 a column declared `text` is reported as `TEXT`, so the
    class takes every existing table, its own too, for one of another version.
    Before ipyparallel 9.1 it does not know the column `label`.
    """

    def _check_table(self):
        if "label" not in self._keys:
            self._keys = [*self._keys, "label"]
            self._types = {**self._types, "label": "text"}
        rows = self._db.execute(f"PRAGMA table_info('{self.table}')")
        found = [(row[1], row[2].lower()) for row in rows]
        return not found or found == [(k, self._types[k]) for k in self._keys]


def run_tool(*args):
    """Run taskdb_tool; what it printed, parsed, or None."""
    out = subprocess.run(
        [os.environ["IPMPI_TASKDB_TOOL"], *args],
        check=True,
        stdout=subprocess.PIPE,
        timeout=30,
    ).stdout
    return json.loads(out) if out else None


def ask(path, query):
    """All records that match, as dicts with the buffers in their places."""
    answer = run_tool("query", str(path), json.dumps(query))
    content = answer["content"]
    buffers = iter(bytes.fromhex(b) for b in answer["buffers"])
    records = content["records"]
    for record, n, m in zip(
        records, content["buffer_lens"], content["result_buffer_lens"]
    ):
        record["buffers"] = [next(buffers) for _ in range(n)]
        record["result_buffers"] = [next(buffers) for _ in range(m)]
    assert next(buffers, None) is None
    return records


@pytest.fixture
def path(tmp_path):
    """The file of a database in which we have written two tasks."""
    path = tmp_path / "tasks.db"
    run_tool("write", str(path))
    return path


@pytest.fixture
def upstream(path):
    """ipyparallel's class on the same file."""
    db = UpstreamDB(
        location=str(path.parent), filename=path.name, log=logging.getLogger()
    )
    yield db
    db.close()


def test_upstream_uses_our_table(upstream):
    assert upstream.table == "ipython-tasks"
    assert upstream.get_history() == ["done", "waiting"]


def test_upstream_reads_a_result(upstream):
    record = upstream.get_record("done")
    assert record["header"]["msg_type"] == "apply_request"
    assert record["content"] == {"a": 5}
    assert record["buffers"] == [b"b" * 300]
    assert record["submitted"] == T0
    assert record["started"] == T0 + timedelta(seconds=1)
    assert record["completed"] == T0 + timedelta(seconds=2)
    assert isinstance(record["received"], datetime)
    assert record["client_uuid"] == "s"
    assert record["engine_uuid"] == "engine-1"
    assert record["result_header"]["msg_type"] == "apply_reply"
    assert record["result_content"] == {"status": "ok"}
    assert record["result_metadata"] == {"status": "ok"}
    assert record["result_buffers"] == [b"r" * 7]
    assert record["queue"] == "task"
    assert record["execute_input"] == "1 + 1"
    assert record["execute_result"] is None
    assert record["stdout"] == "gr\u00fc\u00df\n"
    assert record["stderr"] == ""
    assert record["label"] == "group/a"
    assert record["resubmitted"] is None


def test_upstream_reads_a_pending_task(upstream):
    record = upstream.get_record("waiting")
    assert record["completed"] is None
    assert record["result_header"] is None
    assert not record["result_buffers"]
    assert record["buffers"] == [b""]
    assert record["submitted"] == T0 + timedelta(seconds=1.5)


def test_upstream_finds_by_date(upstream):
    found = upstream.find_records({"submitted": {"$lt": T0 + timedelta(seconds=1)}})
    assert [r["msg_id"] for r in found] == ["done"]


BUFFERS = [
    [],
    [b"abc"],
    [b"", b"x" * 300, b"y" * 70000],
    [b"same"] * 3,
    [bytes([i % 256]) for i in range(2500)],
]


@pytest.mark.parametrize("buffers", BUFFERS, ids=len)
def test_we_read_what_upstream_wrote(path, upstream, buffers):
    record = {key: None for key in upstream._keys}
    record.update(
        msg_id="theirs",
        header={"msg_id": "theirs", "date": T0, "session": "t"},
        metadata={},
        content={"text": "gr\u00fc\u00df"},
        buffers=[memoryview(b) for b in buffers],
        submitted=T0 + timedelta(seconds=5),
        completed=T0 + timedelta(seconds=6, microseconds=7),
        result_buffers=list(buffers),
        result_header={"msg_type": "apply_reply"},
        stdout="out",
        stderr="",
        label="theirs",
    )
    upstream.add_record("theirs", record)
    upstream.update_record("done", {"stdout": "changed"})
    upstream._db.commit()
    (ours,) = ask(path, {"label": {"$glob": "th*"}})
    assert ours["buffers"] == buffers
    assert ours["result_buffers"] == buffers
    assert ours["header"]["session"] == "t"
    assert ours["content"] == {"text": "gr\u00fc\u00df"}
    assert ours["submitted"] == "2023-11-14T22:13:25.000000Z"
    assert ours["completed"] == "2023-11-14T22:13:26.000007Z"
    assert ours["started"] is None
    assert ours["stdout"] == "out"
    (done,) = ask(path, {"msg_id": "done"})
    assert done["stdout"] == "changed"
    later = {"submitted": {"$gt": "2023-11-14T23:13:23+01:00"}}
    assert [r["msg_id"] for r in ask(path, later)] == ["theirs"]


def test_what_was_pending_is_decided_by_the_next_controller(path, upstream):
    (waiting,) = ask(path, {"msg_id": "waiting"})
    assert waiting["result_content"]["ename"] == "EngineError"
    record = upstream.get_record("waiting")
    assert record["completed"] is not None
    assert record["result_metadata"]["status"] == "error"
