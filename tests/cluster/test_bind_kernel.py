"""bind_kernel: an engine that Jupyter's front ends talk to as well."""

from __future__ import annotations

import os
import stat
import threading
import time

import ipyparallel as ipp
import pytest
from conftest import WAIT
from ipyparallel import interactive
from jupyter_client import BlockingKernelClient


@interactive
def bind() -> str:
    """On an engine: the path of its connection file."""
    import ipyparallel
    from ipykernel.connect import get_connection_file
    ipyparallel.bind_kernel()
    return get_connection_file()


@pytest.fixture
def bound(cluster, rc):
    """A client of the cluster, and a front end of its engine 1."""
    path = rc[1].apply_async(bind).get(WAIT)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    front = BlockingKernelClient(connection_file=path)
    front.load_connection_file()
    front.start_channels()
    front.wait_for_ready(timeout=WAIT)
    yield rc, front
    front.stop_channels()


def execute(front, code: str, **keywords) -> tuple[dict, list[dict]]:
    """The reply's content, and the outputs that came before it."""
    outputs: list[dict] = []
    reply = front.execute_interactive(
        code, timeout=WAIT, output_hook=outputs.append, allow_stdin=False,
        **keywords)
    return reply["content"], outputs


def text(outputs: list[dict]) -> str:
    return "".join(out["content"]["text"] for out in outputs
                   if out["msg_type"] == "stream")


def test_both_see_one_namespace(bound):
    rc, front = bound
    rc[1].push({"a": 5}, block=True)
    content, outputs = execute(front, "print('hello'); b = a + 1; b")
    assert content["status"] == "ok"
    assert text(outputs) == "hello\n"
    (result,) = [out["content"]["data"]["text/plain"] for out in outputs
                 if out["msg_type"] == "execute_result"]
    assert result == "6"
    assert rc[1].pull("b", block=True) == 6


def test_bound_once(bound):
    rc, front = bound
    again = rc[1].apply_async(bind).get(WAIT)
    assert os.path.basename(again) == os.path.basename(front.connection_file)


def test_output_goes_to_who_asked(bound):
    rc, front = bound
    ar = rc[1].execute("print('for the client')", block=False)
    ar.get(WAIT)
    ar.wait_for_output(WAIT)
    content, outputs = execute(front, "print('for the front end')")
    assert text(outputs) == "for the front end\n"
    assert ar.stdout == "for the client\n"
    ar = rc[1].execute("print('again')", block=False)
    ar.get(WAIT)
    ar.wait_for_output(WAIT)
    assert ar.stdout == "again\n"


def test_errors_and_display(bound):
    rc, front = bound
    content, outputs = execute(front, "display({'text/plain': 'shown'}, "
                               "raw=True); 1 / 0")
    assert content["status"] == "error"
    assert content["ename"] == "ZeroDivisionError"
    kinds = [out["msg_type"] for out in outputs]
    assert "display_data" in kinds and "error" in kinds
    assert rc[1].apply_async(interactive(lambda: 1)).get(WAIT) == 1


def test_a_cell_that_awaits(bound):
    content, outputs = execute(bound[1], "import asyncio\n"
                               "await asyncio.sleep(0.01)\nprint('slept')")
    assert content["status"] == "ok"
    assert text(outputs) == "slept\n"


def test_completion(bound):
    execute(bound[1], "a_long_name = 1")
    reply = bound[1].complete("a_lon", reply=True, timeout=WAIT)
    assert "a_long_name" in reply["content"]["matches"]


def test_control_while_it_computes(bound):
    """The front end's cell waits for the client's, which it interrupts."""
    rc, front = bound
    running = rc[1].apply_async(time.sleep, 60)
    end = time.monotonic() + WAIT
    while not rc.queue_status(1)["queue"]:
        assert time.monotonic() < end
    waiting: list[dict] = []
    thread = threading.Thread(
        target=lambda: waiting.append(execute(front, "7 * 6")[0]))
    thread.start()
    message = front.session.msg("interrupt_request", {})
    front.control_channel.send(message)
    with pytest.raises(ipp.error.RemoteError) as caught:
        running.get(WAIT)
    assert caught.value.ename == "KeyboardInterrupt"
    thread.join(WAIT)
    assert waiting[0]["status"] == "ok"


def test_a_stranger_is_not_heard(bound):
    rc, front = bound
    stranger = BlockingKernelClient()
    stranger.load_connection_info(dict(front.get_connection_info(),
                                       key=b"guessed"))
    stranger.start_channels()
    stranger.execute("stolen = 1")
    content, _ = execute(front, "'stolen' in globals()")
    assert content["status"] == "ok"
    assert rc[1].apply_async(
        interactive(lambda: "stolen" in globals())).get(WAIT) is False
    stranger.stop_channels()
