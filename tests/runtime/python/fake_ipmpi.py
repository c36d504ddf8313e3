"""A stand-in for the built-in module `_ipmpi`: no MPI, no comm thread.

It keeps the contract of the real one towards ipmpi_engine, and records what
would be sent. Tests put work in with `feed` and read `replies`, `published`
and `streams`.
"""

from __future__ import annotations

import collections
import json
import os
import queue
import sys
import uuid

package_dir = ""
version = "fake"

APPLY, EXECUTE, COMM, OTHER, BULK, MPI, CHILD = 1, 2, 3, 4, 5, 6, 7
BALANCED, SILENT = 1, 2
OK, ERROR, ABORTED, UNMET, UNKNOWN = 0, 1, 2, 3, 4

KINDS = {"apply_request": APPLY, "execute_request": EXECUTE,
         "ipmpi_bulk_request": BULK, "comm_open": COMM, "comm_msg": COMM, "comm_close": COMM}

Reply = collections.namedtuple(
    "Reply", "ref msg_type status content buffers abort_queued")
Message = collections.namedtuple(
    "Message", "msg_type content metadata buffers parent topic")

waiting: collections.deque = collections.deque()
control: queue.Queue = queue.Queue()
started: dict[int, dict] = {}
replies: dict[int, Reply] = {}
parts: dict[int, list[tuple]] = {}
steps: list[int] = []
cancelled: str | None = None
control_replies: dict[int, tuple] = {}
published: list[Message] = []
log: list[str] = []
on_reply = None
user_world = 0
parent = b"{}"
stop = 0
left = False
_next_ref = 1
_wake_r, _wake_w = os.pipe()
os.set_blocking(_wake_r, False)


def feed(msg_type: str, content: dict | bytes | None = None, buffers=(),
         **header) -> int:
    """Adds one request; returns its ref."""
    global _next_ref
    ref, _next_ref = _next_ref, _next_ref + 1
    header = {"msg_id": f"id-{ref}", "msg_type": msg_type, "session": "client",
              "username": "u", "date": "2026-01-02T03:04:05.000006Z",
              "version": "5.3", **header}
    if not isinstance(content, bytes):
        content = json.dumps(content or {}).encode()
    views = [memoryview(bytearray(buffer)) for buffer in buffers]
    waiting.append((ref, KINDS.get(msg_type, OTHER), 0,
                    json.dumps(header).encode(), content, views))
    os.write(_wake_w, b"x")
    return ref


def feed_control(msg_type: str, content: dict | None = None) -> int:
    global _next_ref
    ref, _next_ref = _next_ref, _next_ref + 1
    control.put((ref, msg_type, b"{}", json.dumps(content or {}).encode(), []))
    return ref


def request_stop(why: int) -> None:
    global stop
    stop = why
    os.write(_wake_w, b"x")


def join() -> dict:
    log.append("join")
    return {"engine_id": 3, "uuid": str(uuid.UUID(int=7)), "session": "eng-3",
            "username": "tester", "key": b"abc", "rank": 3, "size": 4,
            "user_world": user_world, "wake_fd": _wake_r}


def ready() -> None:
    log.append("ready")


def leave() -> None:
    global left
    left = True
    log.append("leave")


def clear_wake() -> None:
    try:
        os.read(_wake_r, 65536)
    except BlockingIOError:
        pass


def take():
    global parent
    if not waiting:
        return None
    work = waiting.popleft()
    started[work[0]] = json.loads(work[3])
    parent = work[3]
    publish("status", b'{"execution_state": "busy"}', None, (), None, None)
    return work


def _done(ref: int) -> None:
    publish("status", b'{"execution_state": "idle"}', None, (), None, None)
    if on_reply is not None:
        on_reply(ref)


def reply(ref, status, content, buffers, abort_queued=False) -> None:
    buffers = [bytes(memoryview(b)) if memoryview(b).contiguous else
               _refuse() for b in buffers]
    assert ref in started and ref not in replies, "one reply a request"
    msg_type = started[ref]["msg_type"]
    assert content is None or isinstance(content, bytes)
    replies[ref] = Reply(
        ref, msg_type.replace("_request", "_reply"), status,
        {"status": "ok"} if content is None else json.loads(content), buffers,
        abort_queued)
    if abort_queued:
        _abort_queued()
    _done(ref)


def reply_part(ref, content, buffers) -> None:
    assert ref in started and ref not in replies
    parts.setdefault(ref, []).append(
        (json.loads(content), [bytes(memoryview(b)) for b in buffers]))


def note_step(step: int) -> None:
    steps.append(step)


def why_cancelled() -> str | None:
    return cancelled


def _refuse():
    raise BufferError("buffer is not contiguous")


def _abort_queued() -> None:
    for work in [one for one in waiting if one[1] == EXECUTE]:
        waiting.remove(work)
        started[work[0]] = json.loads(work[3])
        reply(work[0], ABORTED, b'{"status": "aborted"}', ())


def finish(ref) -> None:
    replies[ref] = Reply(ref, None, OK, None, [], False)
    _done(ref)


def stop_requested() -> int:
    return stop


def publish(msg_type, content, metadata, buffers, parent_, topic) -> None:
    assert isinstance(content, bytes)
    published.append(Message(
        msg_type, json.loads(content),
        None if metadata is None else json.loads(metadata),
        [bytes(b) for b in buffers],
        json.loads(parent if parent_ is None else parent_), topic))


def write(fd, text) -> None:
    assert isinstance(text, bytes)
    name = {1: "stdout", 2: "stderr"}[fd]
    publish("stream", json.dumps(
        {"name": name, "text": text.decode()}).encode(), None, (), None, None)


def flush() -> None:
    pass


def set_parent(header) -> None:
    global parent
    parent = bytes(header)


def take_control():
    return control.get()


def reply_control(ref, status, content, buffers) -> None:
    control_replies[ref] = (status, json.loads(content))


def messages(ref: int) -> list[Message]:
    """What was published under the request `ref`, in order."""
    msg_id = started[ref]["msg_id"]
    return [one for one in published if one.parent.get("msg_id") == msg_id]


def text(ref: int, name: str = "stdout") -> str:
    """The stream output of the request `ref`."""
    return "".join(one.content["text"] for one in messages(ref)
                   if one.msg_type == "stream" and one.content["name"] == name)


sys.modules["_ipmpi"] = sys.modules[__name__]
