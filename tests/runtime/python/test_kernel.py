"""What user code finds: kernel, shell, streams, comms, control."""

import json
import os
import signal
import sys
import threading
import time

import fake_ipmpi as fake
import pytest


def test_kernel_attributes(engine):
    kernel = engine.kernel
    from ipykernel.kernelbase import Kernel

    assert Kernel.instance() is kernel
    assert kernel.engine_id == kernel.int_id == 3
    assert kernel.ident and kernel.session.session == "eng-3"
    assert kernel.session.key == b"abc"
    assert kernel.io_loop.asyncio_loop is engine.loop
    for name in ("iopub_socket", "log", "shell", "comm_manager"):
        assert getattr(kernel, name) is not None
    kernel.distributed_worker = worker = object()
    assert kernel.distributed_worker is worker


def test_shell_identity(engine):
    from ipykernel.zmqshell import ZMQInteractiveShell
    from IPython import get_ipython

    shell = ZMQInteractiveShell.instance()
    assert shell is engine.shell is get_ipython()
    assert shell.user_ns is shell.user_global_ns
    assert shell.user_ns is sys.modules["__main__"].__dict__
    assert shell.user_ns["__name__"] == "__main__"
    assert shell.kernel is engine.kernel
    assert shell.history_manager.hist_file == ":memory:"
    assert sys.path[0] == ""


@pytest.mark.parametrize("name, value", [
    ("TERM", "xterm-color"), ("CLICOLOR", "1"), ("PAGER", "cat"),
    ("GIT_PAGER", "cat")])
def test_environment(engine, name, value):
    assert os.environ[name] == value


def test_parent_is_the_request(engine):
    def parents():
        from IPython import get_ipython
        import sys
        shell = get_ipython()
        return [shell.kernel.get_parent()["header"]["msg_id"],
                shell.get_parent()["msg_id"],
                sys.stdout.parent_header["msg_id"],
                shell.display_pub.parent_header["msg_id"]]

    ref = engine.send_apply(parents)
    engine.run(ref)
    from ipyparallel.serialize import deserialize_object
    found = deserialize_object(fake.replies[ref].buffers)[0]
    assert found == [f"id-{ref}"] * 4


def test_streams(engine):
    def check():
        import sys
        print("out")
        print("err", file=sys.stderr)
        sys.stdout.writelines(["a", "b\n"])
        sys.stdout.close()
        sys.stdout.write("still\n")
        return (sys.stdout.isatty(), sys.stdout.encoding,
                sys.stdout.fileno(), sys.stdout.buffer.write(b"raw"))

    ref = engine.send_apply(check)
    engine.run(ref)
    assert fake.text(ref) == "out\nab\nstill\nraw"
    assert fake.text(ref, "stderr") == "err\n"


def test_publish_data(engine):
    from ipyparallel.datapub import publish_data
    from ipyparallel.serialize import deserialize_object

    def publish():
        from ipyparallel.datapub import publish_data
        publish_data({"a": 5})

    assert callable(publish_data)
    ref = engine.send_apply(publish)
    engine.run(ref)
    (data,) = [one for one in fake.messages(ref)
               if one.msg_type == "data_message"]
    assert data.content == {"keys": ["a"]} and data.topic == "datapub"
    assert deserialize_object(data.buffers)[0] == {"a": 5}


def test_bind_kernel_is_refused(engine):
    def bind():
        import ipyparallel
        ipyparallel.bind_kernel()

    assert engine.apply(bind).content["ename"] == "RuntimeError"


def test_explicit_parent(engine):
    def elsewhere():
        from IPython import get_ipython
        kernel = get_ipython().kernel
        kernel.session.send(kernel.iopub_socket, "stream",
                            {"name": "stdout", "text": "x"},
                            parent={"msg_id": "other", "session": "s"})

    engine.apply(elsewhere)
    (sent,) = [one for one in fake.published
               if one.parent.get("msg_id") == "other"]
    assert sent.content["text"] == "x"


@pytest.mark.parametrize("msg_type, content, check", [
    ("complete_request", {"code": "impor", "cursor_pos": 5},
     lambda r: "import" in r["matches"]),
    ("inspect_request", {"code": "len", "cursor_pos": 3},
     lambda r: r["found"] and "text/plain" in r["data"]),
    ("inspect_request", {"code": "absent", "cursor_pos": 3},
     lambda r: not r["found"]),
    ("is_complete_request", {"code": "for x in y:"},
     lambda r: r == {"status": "incomplete", "indent": "    "}),
    ("history_request", {"hist_access_type": "tail", "n": 2, "raw": True,
                         "output": False},
     lambda r: isinstance(r["history"], list)),
    ("history_request", {"hist_access_type": "search", "pattern": "*"},
     lambda r: isinstance(r["history"], list)),
    ("kernel_info_request", {},
     lambda r: r["language_info"]["name"] == "python"),
    ("connect_request", {}, lambda r: r == {"status": "ok"}),
    ("comm_info_request", {}, lambda r: r["comms"] == {}),
])
def test_front_end_requests(engine, msg_type, content, check):
    reply = engine.run(fake.feed(msg_type, content))
    assert reply.status == fake.OK and reply.content["status"] in (
        "ok", "incomplete")
    assert check(reply.content)


def test_front_end_errors(engine):
    reply = engine.run(fake.feed("complete_request", {}))
    assert reply.status == fake.ERROR
    assert reply.content["ename"] == "KeyError"


def test_unknown_request(engine):
    reply = engine.run(fake.feed("strange_request"))
    assert reply.status == fake.UNKNOWN


def test_comms(engine):
    seen = []

    def opened(comm, msg):
        comm.on_msg(lambda m: (seen.append(m["content"]["data"]),
                               comm.send({"echo": 1}, buffers=[b"xyz"])))
        seen.append(msg["content"]["data"])

    engine.kernel.comm_manager.register_target("t", opened)
    engine.run(fake.feed("comm_open", {"comm_id": "c1", "target_name": "t",
                                       "data": {"n": 1}}))
    info = engine.run(fake.feed("comm_info_request", {"target_name": "t"}))
    assert info.content["comms"] == {"c1": {"target_name": "t"}}
    ref = fake.feed("comm_msg", {"comm_id": "c1", "data": {"n": 2}})
    engine.run(ref)
    assert seen == [{"n": 1}, {"n": 2}]
    (echo,) = [one for one in fake.messages(ref)
               if one.msg_type == "comm_msg"]
    assert echo.content["data"] == {"echo": 1}
    assert echo.buffers == [b"xyz"]
    engine.run(fake.feed("comm_close", {"comm_id": "c1", "data": {}}))
    assert "c1" not in engine.kernel.comm_manager.comms


def test_comm_opened_by_the_engine(engine):
    def make():
        try:
            from comm import create_comm as Comm
        except ImportError:
            from ipykernel.comm import Comm
        Comm(target_name="client", data={"a": 1})

    ref = engine.send_apply(make)
    engine.run(ref)
    assert fake.replies[ref].status == fake.OK
    opened = [one for one in fake.messages(ref)
              if one.msg_type == "comm_open"]
    assert opened[0].content["target_name"] == "client"


def test_comm_failures_are_survived(engine):
    for content in ({"comm_id": "none"}, {"comm_id": "x", "target_name": "-"}):
        engine.run(fake.feed("comm_msg", content))
    engine.run(fake.feed("comm_open", b"nonsense"))
    assert engine.value(lambda: 1) == 1


def clear(engine):
    from ipmpi_engine import control

    return control.answer(engine.kernel, "clear_request", b"{}")


def test_clear(engine):
    engine.execute("a = 1; import os")
    count = engine.shell.execution_count
    thread = threading.Thread(target=clear, args=(engine,))
    thread.start()
    thread.join()
    assert engine.execute("a").content["ename"] == "NameError"
    assert engine.shell.execution_count == count + 1
    names = engine.shell.user_ns
    assert {"In", "Out", "get_ipython", "exit"} <= set(names)
    assert "os" not in names and names["__name__"] == "__main__"


def test_clear_under_a_running_task(engine):
    from ipmpi_engine import control

    thread = control.start(engine.kernel)
    try:
        ref = engine.send_apply(wait_for_clear, fake.feed_control(
            "clear_request"))
        assert engine.run(ref).status == fake.OK
    finally:
        fake.control.put(None)
        thread.join(10)


def wait_for_clear(ref):
    import time

    import fake_ipmpi

    deadline = time.monotonic() + 10
    while ref not in fake_ipmpi.control_replies:
        assert time.monotonic() < deadline
        time.sleep(0.005)


wait_for_clear.__module__ = "__main__"


@pytest.mark.parametrize("msg_type, status", [
    ("kernel_info_request", fake.OK), ("connect_request", fake.OK),
    ("comm_info_request", fake.OK), ("strange", fake.UNKNOWN)])
def test_control_answers(engine, msg_type, status):
    from ipmpi_engine import control

    got, content = control.answer(engine.kernel, msg_type, b"{}")
    assert got == status and isinstance(json.loads(content), dict)


def test_interrupts(engine):
    def wait():
        import os
        import signal
        import threading
        import time
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        time.sleep(10)

    reply = engine.apply(wait)
    assert reply.content["ename"] == "KeyboardInterrupt"
    before = signal.getsignal(signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)  # idle: ignored
    assert engine.value(lambda: 1) == 1
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.parametrize("code, ename", [
    ("import time; time.sleep(10)", "KeyboardInterrupt"),
    ("import asyncio; await asyncio.sleep(10)", "CancelledError"),
    ("import asyncio; await asyncio.sleep(0)\nwhile 1: pass",
     "KeyboardInterrupt")])
def test_interrupted_cells(engine, code, ename):
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    reply = engine.execute(code)
    assert reply.status == fake.ERROR
    assert reply.content["ename"] == ename
    assert engine.execute("1").status == fake.OK


def test_a_hail_of_interrupts(engine):
    """However many come, and whenever: one reply, and the engine goes on."""
    def hail():
        for _ in range(40):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.0003)

    def spin():
        while True:
            pass

    for send in (lambda: engine.send_apply(spin),
                 lambda: engine.send_execute("while True: pass")) * 5:
        timer = threading.Timer(0.02, hail)
        timer.start()
        reply = engine.run(send())
        timer.join()
        assert reply.status == fake.ERROR
    assert engine.value(lambda: 1) == 1


def test_what_fails_inside_the_engine_is_answered(engine, monkeypatch):
    from ipmpi_engine import apply

    def broken(*args):
        raise RuntimeError("inside")

    with monkeypatch.context() as patch:
        patch.setattr(apply, "run", broken)
        reply = engine.apply(lambda: 1)
    assert reply.status == fake.ERROR
    assert reply.content["evalue"] == "inside"
    assert engine.value(lambda: 1) == 1


def test_user_handlers_of_other_signals(engine):
    def install():
        import os
        import signal
        hits = []
        signal.signal(signal.SIGUSR1, lambda *a: hits.append(1))
        os.kill(os.getpid(), signal.SIGUSR1)
        return len(hits)

    assert engine.value(install) == 1


def test_gui_loops_are_refused(engine):
    assert engine.execute("%gui").status == fake.OK
    engine.execute("%gui qt")
    assert engine.value(lambda: 2) == 2


def test_a_users_fork_ends_by_itself(engine):
    def fork():
        import os
        pid = os.fork()
        if pid:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert engine.value(fork) == 0


def test_nested_loop(engine):
    def nest():
        import asyncio
        for name in ("nest_asyncio", "nest_asyncio2"):
            try:
                module = __import__(name)
            except ImportError:
                continue
            module.apply()
            return asyncio.get_event_loop().run_until_complete(
                asyncio.sleep(0.01, "slept"))
        return "slept"

    follow = [engine.send_apply(nest), engine.send_apply(lambda: 1)]
    for reply in engine.run(*follow):
        assert reply.status == fake.OK, reply.content


def test_floods_leave_the_loop_its_turn(engine):
    ticks = []

    def tick():
        ticks.append(1)
        engine.loop.call_later(0.001, tick)

    engine.loop.call_soon(tick)
    refs = [engine.send_apply(lambda: __import__("time").sleep(0.002))
            for _ in range(40)]
    engine.run(*refs)
    assert len(ticks) > 5
