"""apply_request: ipmpi_engine.apply."""

import sys
import types

import fake_ipmpi as fake
import pytest
from ipyparallel import Reference
from ipyparallel.controller.dependency import depend, require
from ipyparallel.error import UnmetDependency
from ipyparallel.util import _push, become_dask_worker, interactive


def errors_of(ref):
    return [one for one in fake.messages(ref) if one.msg_type == "error"]


@pytest.mark.parametrize("value", [
    None, 0, "täxt", b"x" * 5000, [1, 2, [3]], {"b": 1, "a": (2,)},
    list(range(200)), {1, 2}, 1j, float("inf"),
])
def test_values_return(engine, value):
    assert engine.value(lambda x: x, value) == value


def test_keyword_arguments(engine):
    assert engine.value(lambda a, b=1, *, c: (a, b, c), 1, c=3) == (1, 1, 3)


def test_arrays_travel_outside_the_pickle(engine):
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(100_000.0)
    reply = engine.apply(lambda a: a * 2, array)
    assert len(reply.buffers) == 2
    assert len(reply.buffers[1]) == array.nbytes


def test_received_arrays_are_writable(engine):
    numpy = pytest.importorskip("numpy")

    def change(a):
        a[0] = 7
        return a

    assert engine.value(change, numpy.zeros(1000))[0] == 7


def test_a_result_with_holes_is_still_answered(engine):
    reply = engine.apply(lambda: memoryview(bytearray(9000))[::2])
    assert reply.status in (fake.OK, fake.ERROR)


def test_nothing_appears_in_the_namespace(engine):
    before = set(engine.shell.user_ns)
    engine.apply(lambda x, y: x + y, 1, y=2)
    assert set(engine.shell.user_ns) == before


def test_counters_and_events_stay(engine):
    count, seen = engine.shell.execution_count, []
    engine.shell.events.register("pre_execute", lambda: seen.append(1))
    engine.apply(lambda: None)
    assert engine.shell.execution_count == count and not seen


def test_function_runs_in_main(engine):
    @interactive
    def where():
        import sys
        return (__name__, sys._getframe(1).f_globals is globals(),
                sys.modules["__main__"].__dict__ is globals())

    assert engine.value(where) == ("__main__", True, True)


def test_push_and_reference(engine):
    engine.value(_push, a=5)
    assert engine.shell.user_ns["a"] == 5
    assert engine.value(lambda x: x + 1, Reference("a")) == 6


def test_missing_reference_is_an_error_reply(engine):
    reply = engine.apply(lambda x: x, Reference("absent"))
    assert reply.content["ename"] == "NameError"


def raise_value_error():
    raise ValueError("bad")


def raise_system_exit():
    raise SystemExit(2)


def raise_interrupt():
    raise KeyboardInterrupt


def raise_unprintable():
    class Unprintable(Exception):
        def __str__(self):
            raise RuntimeError("no")
    raise Unprintable


def raise_syntax_error():
    exec("1 +")


def leave_a_coroutine():
    async def later():
        pass
    return later()


@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.parametrize("f, ename", [
    (raise_value_error, "ValueError"),
    (raise_system_exit, "SystemExit"),
    (raise_interrupt, "KeyboardInterrupt"),
    (raise_unprintable, "Unprintable"),
    (raise_syntax_error, "SyntaxError"),
    (leave_a_coroutine, "TypeError"),
    (lambda: __import__("sys")._getframe(), "TypeError"),
])
def test_errors(engine, f, ename):
    f.__module__ = "__main__"
    ref = engine.send_apply(lambda run: run(), f)
    reply = engine.run(ref)
    assert reply.status == fake.ERROR and reply.buffers == []
    assert reply.content["status"] == "error"
    assert reply.content["ename"] == ename
    assert isinstance(reply.content["evalue"], str)
    assert reply.content["traceback"]
    assert reply.content["engine_info"] == {
        "engine_uuid": engine.kernel.ident, "engine_id": 3, "method": "apply"}
    assert engine.value(lambda: 1) == 1


def test_error_is_published_once(engine):
    ref = engine.send_apply(raise_value_error)
    raise_value_error.__module__ = "__main__"
    engine.run(ref)
    (error,) = errors_of(ref)
    assert error.content["ename"] == "ValueError"
    assert error.topic == "engine.3.error"
    kinds = [one.msg_type for one in fake.messages(ref)]
    assert kinds == ["status", "error", "status"]


@pytest.mark.parametrize("buffers, ename", [
    ([b"not a pickle", b"x"], "UnpicklingError"),
    ([], "AssertionError"),
    ([b"cno_such_module\nf\n."] * 2, "ModuleNotFoundError"),
])
def test_bad_input_is_an_error_reply(engine, buffers, ename):
    reply = engine.run(fake.feed("apply_request", {}, buffers))
    assert reply.content["ename"] == ename


def test_functional_dependencies(engine):
    @require("no_such_module")
    def needs():
        return 1

    @depend(lambda: True)
    def fine():
        return 1

    @depend(lambda: False)
    def refused():
        return 1

    assert engine.apply(needs).status == fake.UNMET
    assert engine.value(fine) == 1
    reply = engine.apply(refused)
    assert reply.status == fake.UNMET
    assert reply.content["ename"] == "UnmetDependency"


def test_subclass_of_unmet_is_a_plain_error(engine):
    def fail():
        from ipyparallel.error import UnmetDependency

        class Mine(UnmetDependency):
            pass
        raise Mine

    assert issubclass(UnmetDependency, Exception)
    assert engine.apply(fail).status == fake.ERROR


def test_stdin_is_never_awaited(engine, monkeypatch):
    with open("/dev/null") as null:
        monkeypatch.setattr(sys, "stdin", null)
        assert engine.apply(lambda: input()).content["ename"] == "EOFError"


def test_inside_a_running_loop(engine):
    def check():
        import asyncio

        asyncio.get_running_loop()
        try:
            asyncio.run(asyncio.sleep(0))
        except RuntimeError as exc:
            return str(exc)

    assert "running event loop" in engine.value(check)


def test_cloudpickle(engine):
    pytest.importorskip("cloudpickle")
    from ipyparallel.serialize import use_cloudpickle, use_pickle

    use_cloudpickle()
    try:
        assert engine.value(lambda x: x + 1, 1) == 2
    finally:
        use_pickle()


def test_on_the_main_thread(engine):
    def name():
        import threading
        return threading.current_thread() is threading.main_thread()

    assert engine.value(name)


@pytest.mark.parametrize("given, passed", [
    ({"ncores": 2}, {"nthreads": 2}),
    ({"ncores": 1, "nthreads": 3}, {"nthreads": 3}),
    ({"ncores": 3, "nthreads": 1}, {"nthreads": 3}),
    ({"nthreads": 2}, {"nthreads": 2}),
    ({}, {}),
])
def test_ncores_of_a_dask_worker(engine, monkeypatch, given, passed):
    """7.1's documented argument, with a stand-in for today's distributed."""
    seen = []

    class Worker:
        def __init__(self, address, *, nthreads=None, **kwargs):
            seen.append(kwargs | ({"nthreads": nthreads} if nthreads else {}))

        async def start(self):
            pass

    monkeypatch.setitem(sys.modules, "distributed", types.SimpleNamespace(
        Worker=Worker, Nanny=Worker))
    monkeypatch.setitem(engine.shell.user_ns, "dask_worker", None)
    monkeypatch.setitem(engine.shell.user_ns, "distributed_worker", None)
    engine.value(become_dask_worker, "tcp://x", **given)
    assert seen == [passed]


def test_ncores_of_other_functions_stays(engine):
    assert engine.value(lambda ncores: ncores, ncores=2) == 2
