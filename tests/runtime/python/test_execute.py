"""execute_request: ipmpi_engine.execute."""

import fake_ipmpi as fake
import pytest


def kinds(ref):
    return [one.msg_type for one in fake.messages(ref)]


def test_result_and_order(engine):
    ref = engine.send_execute("print('x'); 6 * 7")
    count = engine.shell.execution_count
    reply = engine.run(ref)
    assert kinds(ref) == ["status", "execute_input", "stream", "stream",
                          "execute_result", "status"]
    result = fake.messages(ref)[-2].content
    assert result["data"]["text/plain"] == "42"
    assert result["execution_count"] == count
    assert reply.content == {"status": "ok", "execution_count": count,
                             "user_expressions": {}, "payload": []}


def test_silent(engine):
    before = engine.execute("pass").content["execution_count"]
    ref = engine.send_execute("print('x'); 1", silent=True)
    reply = engine.run(ref)
    assert kinds(ref) == ["status", "stream", "stream", "status"]
    assert reply.content["execution_count"] == before
    assert engine.execute("1").content["execution_count"] == before + 1


@pytest.mark.parametrize("code, ename", [
    ("1/0", "ZeroDivisionError"),
    ("1 +", "SyntaxError"),
    ("raise SystemExit(1)", "SystemExit"),
    ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ("import asyncio\nawait asyncio.sleep(0)\n1/0", "ZeroDivisionError"),
    ("input()", "StdinNotImplementedError"),
    ("import getpass; getpass.getpass()", "StdinNotImplementedError"),
])
def test_errors(engine, code, ename):
    ref = engine.send_execute(code)
    reply = engine.run(ref)
    assert reply.status == fake.ERROR
    content = reply.content
    assert content["ename"] == ename
    assert content["engine_info"] == {
        "engine_uuid": engine.kernel.ident, "engine_id": 3,
        "method": "execute"}
    assert content["user_expressions"] == {} and content["payload"] == []
    assert content["execution_count"] == engine.shell.execution_count - 1
    assert kinds(ref).count("error") == 1
    assert reply.abort_queued


def test_abort_on_error_aborts_queued_cells_only(engine):
    bad = engine.send_execute("1/0")
    cell = engine.send_execute("aborted = 1")
    call = engine.send_apply(lambda: 5)
    _, cell, call = engine.run(bad, cell, call)
    assert cell.status == fake.ABORTED
    assert call.status == fake.OK
    assert "aborted" not in engine.shell.user_ns


@pytest.mark.parametrize("content", [{"silent": True},
                                     {"stop_on_error": False}])
def test_no_abort(engine, content):
    bad = engine.send_execute("1/0", **content)
    cell = engine.send_execute("ran = 1")
    assert [one.status for one in engine.run(bad, cell)] == [fake.ERROR,
                                                             fake.OK]


def test_user_expressions(engine):
    reply = engine.execute("a = 3", user_expressions={"x": "a", "y": "1/0"})
    found = reply.content["user_expressions"]
    assert found["x"]["status"] == "ok"
    assert found["x"]["data"]["text/plain"] == "3"
    assert found["y"]["status"] == "error"
    assert found["y"]["ename"] == "ZeroDivisionError"


@pytest.mark.parametrize("code, check", [
    ("%timeit -n1 -r1 pass", "loop"),
    ("!echo from-shell", "from-shell"),
    ("import sys; sys.stdout.buffer.write(b'raw'); None", "raw"),
    ("display(3)", ""),
])
def test_ipython_syntax(engine, code, check):
    ref = engine.send_execute(code)
    assert engine.run(ref).status == fake.OK
    assert check in fake.text(ref)


def test_paging_is_payload(engine):
    payload = engine.execute("len?").content["payload"]
    assert payload[0]["source"] == "page"
    assert engine.execute("1").content["payload"] == []


def test_async_cell(engine):
    ref = engine.send_execute(
        "import asyncio\nawait asyncio.sleep(0.01)\nx = 'done'\nx")
    assert engine.run(ref).status == fake.OK
    assert "execute_result" in kinds(ref)
    assert engine.shell.user_ns["x"] == "done"


def test_async_cell_holds_later_requests(engine):
    first = engine.send_execute(
        "import asyncio\nawait asyncio.sleep(0.05)\norder = ['cell']")
    second = engine.send_execute("order.append('next')")
    third = engine.send_apply(lambda: None)
    engine.run(first, second, third)
    assert engine.shell.user_ns["order"] == ["cell", "next"]
    starts = [one.parent["msg_id"] for one in fake.published
              if one.content.get("execution_state") == "busy"]
    idles = [one.parent["msg_id"] for one in fake.published
             if one.content.get("execution_state") == "idle"]
    assert starts == idles


def test_background_task_lives_on(engine):
    engine.execute("import asyncio, sys\n"
                   "async def later():\n"
                   "    await asyncio.sleep(0.02)\n"
                   "    global ran; ran = True\n"
                   "task = asyncio.ensure_future(later())")
    engine.execute("await task")
    assert engine.shell.user_ns["ran"] is True


@pytest.mark.parametrize("code", [
    "decimal.getcontext().prec = 7",
    "import asyncio; await asyncio.sleep(0); decimal.getcontext().prec = 7"])
def test_context_variables_persist(engine, code):
    engine.execute("import decimal; " + code)
    reply = engine.execute(
        "", user_expressions={"p": "decimal.getcontext().prec"})
    data = reply.content["user_expressions"]["p"]["data"]
    assert data["text/plain"] == "7"


def test_exit_asks_and_stops(engine):
    reply = engine.execute("exit")
    assert reply.status == fake.OK
    assert reply.content["payload"][0]["source"] == "ask_exit"
    assert engine.work.should_stop()
    engine.shell.exit_now = False


@pytest.mark.parametrize("content", [
    b"{}", b"[]", b"nonsense", b'{"code": "1", "user_expressions": 3}'])
def test_bad_content_is_an_error_reply(engine, content):
    reply = engine.run(fake.feed("execute_request", content))
    assert reply.status == fake.ERROR
    assert reply.content["engine_info"]["method"] == "execute"


def test_odd_display_data_is_sent(engine):
    ref = engine.send_execute(
        "display({'text/plain': '\\ud800', 'application/json': "
        "{1: float('nan'), 'b': {1, 2}}}, raw=True)")
    assert engine.run(ref).status == fake.OK
    (shown,) = [one for one in fake.messages(ref)
                if one.msg_type == "display_data"]
    assert shown.content["data"]["application/json"]["1"] == "nan"
    assert shown.metadata == {"engine": engine.kernel.ident}


def test_history_keeps_inputs(engine):
    engine.execute("marker = 12345")
    assert "marker = 12345" in engine.shell.history_manager.input_hist_raw


def test_default_names(engine):
    engine.execute("1")
    names = set(engine.shell.user_ns)
    assert {"In", "Out", "_", "__", "___", "_ih", "_oh", "_dh", "_i",
            "__builtins__", "__builtin__", "__name__", "get_ipython", "exit",
            "quit"} <= names
