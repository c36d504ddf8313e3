"""An engine in Python, for test_serving: does what the content of each request
orders, through `_ipmpi` alone. The twin of driven_engine.c.

    driven_engine.py
"""

import ctypes
import gc
import json
import os
import select
import signal
import threading
import time
import traceback

import _ipmpi

released = False


def on_signal(number, frame):
    global released
    released = True


def put(text):
    _ipmpi.write(1, text.encode())


def hold():
    """Until the controller sends SIGUSR1."""
    global released
    deadline = time.monotonic() + 30
    while not released and time.monotonic() < deadline:
        time.sleep(0.01)
    assert released
    released = False


def flood():
    """20 MiB of a letter of two bytes, cut anywhere."""
    total, piece = 20 << 20, 65535
    text = "\u00e9".encode() * (piece // 2 + 1)
    at = 0
    while at < total:
        n = min(piece, total - at)
        _ipmpi.write(1, text[at % 2:][:n])
        at += n


def publish():
    put("before\n")
    _ipmpi.publish("display_data", b'{"data":{}}', None, [b"x"], None, None)
    for bad in (("no word", b"{}"), ("x" * 100, b"{}")):
        try:
            _ipmpi.publish(*bad)
        except ValueError:
            continue
        raise AssertionError(bad)


def halves():
    _ipmpi.write(1, b"\xe2\x82")
    _ipmpi.flush()
    _ipmpi.write(1, b"\xac")


def pieces():
    for byte in (b"\xe2", b"\x82", b"\xac"):
        os.write(1, byte)


def mixed():
    put("1\n")
    os.system("echo 2")
    put("3\n")


def hello():
    put("h\u00e9llo\n")
    _ipmpi.write(2, b"oops\n")


ORDERS = {
    "print": hello,
    "printf": lambda: ctypes.CDLL(None).printf(b"from C"),
    "child": lambda: os.system("echo from a child"),
    "mixed": mixed,
    "halves": halves,
    "pieces": pieces,
    "broken": lambda: _ipmpi.write(1, b"a\xff"),
    "flood": flood,
    "publish": publish,
    "hold": hold,
}

STATUS = {
    "fail": _ipmpi.ERROR,
    "unmet": _ipmpi.UNMET,
    "unknown": _ipmpi.UNKNOWN,
}


def raises(kind, function, *args):
    """Asserts that the call raises."""
    try:
        function(*args)
    except kind:
        return
    raise AssertionError((kind, function, args))


def lent(buffers):
    """Large ones as arrays of another type, to be sent without a copy."""
    return [memoryview(bytearray(b)).cast("I") if len(b) >= 1 << 20 else b
            for b in buffers]


def serve(work, kept):
    ref, kind, flags, header, content, buffers = work
    assert flags == 0 and json.loads(header)["msg_type"]
    order = json.loads(content)["do"]
    ORDERS.get(order, lambda: None)()
    for view in buffers:
        assert not view.readonly
    kept.extend(view[:5] for view in buffers if len(view) >= 5)
    if kind == _ipmpi.COMM:
        raises(RuntimeError, _ipmpi.reply, ref, _ipmpi.OK, None, ())
        _ipmpi.finish(ref)
        return
    status = STATUS.get(order, _ipmpi.OK)
    bad = status in (_ipmpi.ERROR, _ipmpi.UNMET)
    raises(TypeError, _ipmpi.reply, ref, status, None, [object()])
    if bad:
        raises(ValueError, _ipmpi.reply, ref, status, None, ())
    _ipmpi.reply(ref, status, b'{"status":"error"}' if bad else None,
                 lent(buffers), order == "fail")
    raises(LookupError, _ipmpi.reply, ref, status, None, ())
    raises(LookupError, _ipmpi.finish, ref)


def serve_controls():
    while (control := _ipmpi.take_control()) is not None:
        ref, msg_type, header, content, buffers = control
        assert msg_type == "clear_request"
        _ipmpi.reply_control(ref, _ipmpi.OK, b'{"status":"ok"}', buffers)


def serve_all(wake_fd):
    kept = []  # views outlive the request they came with
    while not _ipmpi.stop_requested():
        assert select.select([wake_fd], [], [], 50)[0], "nothing came"
        _ipmpi.clear_wake()
        while (work := _ipmpi.take()) is not None:
            serve(work, kept)
            del work
            gc.collect()
    for view in kept:
        first = view[0]
        assert bytes(view) == bytes((first + i) % 256 for i in range(5))


def main():
    signal.signal(signal.SIGUSR1, on_signal)
    for too_early in (_ipmpi.take, _ipmpi.ready, _ipmpi.leave,
                      _ipmpi.clear_wake, _ipmpi.flush):
        raises(RuntimeError, too_early)
    joined = _ipmpi.join()
    raises(RuntimeError, _ipmpi.join)
    assert joined["rank"] == joined["engine_id"] < joined["size"]
    assert joined["username"] == "somebody" and joined["user_world"]
    assert joined["key"] == b"5be6d19a-ad0a0d4b453be6c64b3b282e"
    raises(ValueError, _ipmpi.write, 7, b"x")
    pid = os.fork()
    if pid == 0:
        _ipmpi.write(1, b"from a fork\n")
        try:
            _ipmpi.take()
        except RuntimeError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    threading.Thread(target=serve_controls, daemon=True).start()
    _ipmpi.ready()
    serve_all(joined["wake_fd"])
    _ipmpi.leave()
    _ipmpi.write(2, b"")
    raises(RuntimeError, _ipmpi.take)


if __name__ == "__main__":
    before = os.dup(2)  # 2 will be captured
    try:
        main()
    except BaseException:
        os.write(before, traceback.format_exc().encode())
        os._exit(3)
