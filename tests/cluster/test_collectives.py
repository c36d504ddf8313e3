"""Collective verbs of ipmpi.Client: against mpi4py doing the same on the same
engines, and what they do when an engine fails."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import time

import ipyparallel as ipp
import pytest
from ours import WAIT, connected, our_cluster, until

NUMBERS = "bhilqBHILQfdgFDG"
OPERATIONS = {"sum": NUMBERS, "prod": NUMBERS,
              "min": "bhilqBHILQfdg", "max": "bhilqBHILQfdg",
              "land": "bhilqBHILQ?", "lor": "bhilqBHILQ?",
              "lxor": "bhilqBHILQ?", "band": "bhilqBHILQ",
              "bor": "bhilqBHILQ", "bxor": "bhilqBHILQ"}

PREPARE = """
import numpy as np
from mpi4py import MPI
comm = MPI.COMM_WORLD
me, n = comm.rank, comm.size

def same(a, b):
    # not by bytes: those between long doubles may be anything
    return (type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape
            and bool((a == b).all()))
"""


@pytest.fixture(scope="module", params=[1, 2, 3, 7])
def rc(request, kind):
    """A client of a cluster with N engines."""
    with our_cluster(kind, request.param) as cluster, \
            connected(cluster) as client:
        client[:].execute(PREPARE, block=True)
        yield client


@pytest.fixture
def view(rc):
    view = rc[:]
    view.block = True
    return view


def good(view) -> bool:
    """Whether `ok` is true on all engines."""
    return all(flag is True for flag in view.pull("ok", block=True))


def test_it_is_an_ipyparallel_client(rc, view):
    assert isinstance(rc, ipp.Client)
    assert rc[:].apply_sync(os.getpid) == rc[:].apply_sync(os.getpid)
    view["a"] = 5
    assert view["a"] == [5] * len(rc.ids)
    assert rc[0].apply_sync(abs, -2) == 2
    assert rc.load_balanced_view().map_sync(abs, [-1, -2]) == [1, 2]
    assert rc.broadcast_view().apply_sync(abs, -3) == [3] * len(rc.ids)
    view.scatter("b", list(range(10)))
    assert view.gather("b") == list(range(10))


@pytest.mark.parametrize("verb, code", [
    ("allreduce", "comm.Allreduce(x, want, op)"),
    ("reduce", "comm.Reduce(x, want, op, root=n - 1)"),
    ("scan", "comm.Scan(x, want, op)")])
def test_every_number_and_operation(rc, view, verb, code):
    view.execute("""
for c in "bhilqBHILQfdgFDG?":
    globals()["x_" + c] = ((np.arange(6) + me) % 4).astype(c)
""")
    pending = []
    root = {"root": rc.ids[-1]} if verb == "reduce" else {}
    for op, chars in OPERATIONS.items():
        for c in chars:
            pending.append(getattr(view, verb)(
                f"x_{c}", op, into=f"r_{c}_{op}", block=False, **root))
    for result in pending:
        result.get(WAIT)
    view.execute(f"""
wrong = []
for name, chars in {OPERATIONS!r}.items():
    op = getattr(MPI, name.upper())
    for c in chars:
        x = globals()["x_" + c]
        want = np.empty_like(x)
        {code}
        if {verb!r} != "reduce" or me == n - 1:
            if not same(globals()[f"r_{{c}}_{{name}}"], want):
                wrong.append((c, name))
""")
    assert view["wrong"] == [[]] * len(rc.ids)


def test_every_number_moves(rc, view):
    """Every dtype that MPI has, by every verb that moves data."""
    view.execute(f"""
chars = {NUMBERS + "?"!r}
for c in chars:
    globals()["x_" + c] = ((np.arange(3 * n + 1) + me) % 4).astype(c)
""")
    last = {"root": rc.ids[-1]}
    pending = []
    for c in NUMBERS + "?":
        for verb, arguments in (("bcast", last), ("scatter", last),
                                ("gather", last), ("allgather", {}),
                                ("alltoall", {})):
            pending.append(getattr(view, verb)(
                f"x_{c}", into=f"{verb}_{c}", block=False, **arguments))
    for result in pending:
        result.get(WAIT)
    view.execute("""
wrong = []
for c in chars:
    x = globals()["x_" + c]
    pieces = np.array_split(x, n)
    want = {"bcast": comm.bcast(x, n - 1),
            "scatter": comm.scatter(pieces, n - 1),
            "allgather": np.concatenate(comm.allgather(x)),
            "alltoall": np.concatenate(comm.alltoall(pieces))}
    if me == n - 1:
        want["gather"] = want["allgather"]
    wrong += [(verb, c) for verb, value in want.items()
              if not same(globals()[f"{verb}_{c}"], value)]
""")
    assert view["wrong"] == [[]] * len(rc.ids)


@pytest.mark.parametrize("make", [
    "np.zeros(0)", "np.array(2.5 * me)", "np.arange(100_000.) * me",
    "np.arange(24).reshape(4, 6)[::2, ::-2] + me",
    "np.asfortranarray(np.arange(12.).reshape(3, 4)) * me",
    "np.arange(5).astype('>i4') + me", "np.arange(5).astype('f2') * me"])
def test_allreduce_of_shapes(view, make):
    view.execute(f"x = {make}")
    view.allreduce("x", into="r")
    view.execute("""
import functools
want = functools.reduce(np.add, comm.allgather(x))
ok = bool(r.shape == x.shape and np.allclose(r, want))
""")
    assert good(view)


@pytest.mark.parametrize("make", [
    "np.arange(10.) + me", "np.zeros((0, 3)) + me", "np.array(me)",
    "np.arange(24).reshape(4, 6)[::2, ::-2] + me",
    "np.arange(200_000, dtype='u2') + me", "np.array(['a', 'bcd'])",
    "np.array(['2020-01-01'], dtype='M8[D]')", "np.array([{1: me}, None])",
    "{'me': me, 'x': np.arange(3) * me}", "None", "'text %d' % me"])
def test_bcast(rc, view, make):
    view.execute(f"x = {make}")
    for root in {rc.ids[0], rc.ids[-1]}:
        view.bcast("x", root=root, into="r")
        view.execute(f"""
want = comm.bcast(x, root={root})
ok = type(r) is type(want) and repr(r) == repr(want)
""")
        assert good(view)


@pytest.mark.parametrize("make, axis", [
    ("np.arange(me * 5.) + me", 0), ("np.array(me)", 0),
    ("np.full((2, me % 3, 2), me)", 1), ("np.full((3, me % 2), me)", -1),
    ("(np.arange(40_000) + me)[::2]", 0)])
def test_gather_of_uneven_arrays(rc, view, make, axis):
    view.execute(f"x = {make}")
    view.gather("x", root=rc.ids[-1], axis=axis, into="r")
    view.allgather("x", axis=axis, into="a")
    view.execute(f"""
want = np.concatenate([np.atleast_1d(o) for o in comm.allgather(x)], {axis})
ok = same(a, want) and (me != n - 1 or same(r, want))
""")
    assert good(view)


@pytest.mark.parametrize("make", ["{'me': me}", "'x' * 5000 * me", "[me]"])
def test_gather_of_objects(rc, view, make):
    view.execute(f"x = {make}")
    view.gather("x", root=None, into="r")
    view.allgather("x", into="a")
    view.execute("w = comm.allgather(x); ok = a == w and (me or r == w)")
    assert all(view["ok"])


@pytest.mark.parametrize("make, axis", [
    ("np.arange(17.)", 0), ("np.arange(100_000)", 0), ("np.zeros((0, 2))", 0),
    ("np.arange(60).reshape(4, 15)", 1),
    ("np.arange(240).reshape(12, 20)[::2, ::-3]", 1), ("list(range(10))", 0),
    ("'abcdefghij'", 0)])
def test_scatter(rc, view, make, axis):
    root = rc.ids[-1]
    view.execute(f"x = {make} if me == n - 1 else None")
    view.scatter("x", root=root, axis=axis, into="r")
    view.execute(f"""
if me == n - 1:
    parts = np.array_split(np.asarray(x) if isinstance(x, np.ndarray)
                           else np.arange(len(x)), n, {axis})
    if not isinstance(x, np.ndarray):
        parts = [x[p[0]:p[-1] + 1] if len(p) else x[:0] for p in parts]
else:
    parts = None
want = comm.scatter(parts, root=n - 1)
ok = bool(type(r) is type(want) and np.array_equal(r, want))
""")
    assert good(view)


def test_scatter_by_counts(rc, view):
    n = len(rc.ids)
    counts = [i % 3 for i in range(n)]
    view.execute(f"x = np.arange({2 * sum(counts)}).reshape(-1, 2)")
    view.scatter("x", counts=counts, into="r")
    assert [len(r) for r in view["r"]] == counts
    view.allgather("r")
    view.execute("ok = same(r, x)")
    assert good(view)


@pytest.mark.parametrize("make", [
    "np.arange(2 * n) + 10 * me", "np.arange(3 * n + me).reshape(-1, 1)[::1]",
    "np.zeros(0)", "[(me, i) for i in range(n)]",
    "np.arange(50_000 * n).reshape(-1, 2)"])
def test_alltoall(view, make):
    view.execute(f"x = {make}")
    view.alltoall("x", into="r")
    view.execute("""
if isinstance(x, list):
    ok = comm.alltoall(x) == r
else:
    ok = same(r, np.concatenate(comm.alltoall(np.array_split(x, n))))
""")
    assert good(view)


def test_objects_and_functions(view):
    view.execute("x = 2 ** 70 + me; t = (me,); a = np.arange(3) + me")
    view.allreduce("x", into="total")
    view.scan("t", "sum", into="upto")
    view.allreduce("t", ipp.interactive(lambda a, b: b + a), into="back")
    view.allreduce("a", ipp.interactive(lambda a, b: a * b), into="product")
    view.execute("""
ok = bool(total == sum(comm.allgather(x)) and upto == tuple(range(me + 1))
          and back == tuple(reversed(range(n)))
          and np.array_equal(product, comm.allreduce(a, MPI.PROD)))
""")
    assert good(view)


def test_barrier_waits_for_all(rc, view):
    view.execute("import time; begun = time.time()")
    rc[-1].execute("time.sleep(0.3); begun = time.time()", block=False)
    view.barrier()
    view.execute("ended = time.time()")
    assert min(view["ended"]) >= max(view["begun"])


def test_subsets_in_any_order(rc):
    ids = rc.ids
    for targets in (ids[::-1], ids[1:], ids[::2], ids[-1:]):
        if not targets:
            continue
        view = rc.broadcast_view(targets)
        view.block = True
        view.execute("x = np.array([me]); y = np.array([1.5])")
        view.allgather("x")
        assert [list(x) for x in view["x"]] == [targets] * len(targets)
        view.allreduce("y")
        assert [y[0] for y in view["y"]] == [1.5 * len(targets)] * len(targets)


def test_one_request_and_bad_arguments(rc, view):
    result = view.barrier(block=False)
    assert result.get(WAIT) == [None] * len(rc.ids)
    assert len(result.msg_ids) == len(rc.ids)
    with pytest.raises(ValueError, match="no operation"):
        view.allreduce("x", "median")
    with pytest.raises(ValueError, match="not in the view"):
        view.bcast("x", root=99)
    with pytest.raises(TypeError):
        view.scatter("x", flatten=True)


def failures(result, places=None) -> list[str]:
    """What the engines say, in the view's order; some may still be busy."""
    children = result._children
    if places is not None:
        children = [children[i] for i in places]
    errors = [child.result(WAIT) for child in children]
    return [f"{error.ename}: {error.evalue}" for error in errors
            if isinstance(error, Exception)]


@pytest.fixture(scope="module")
def four(kind):
    """A cluster of four, of which a test may kill engines."""
    with our_cluster(kind, 4) as cluster, connected(cluster) as client:
        client[:].execute(PREPARE + "x = np.arange(4.)", block=True)
        yield client


@pytest.mark.parametrize("code, verb, want", [
    ("del x", "allreduce", "engine 2: NameError: name 'x' is not defined"),
    ("x = np.arange(5.)", "allreduce", "engine 2: has an array of"),
    ("x = np.arange(4)", "scan", "engine 2: has an array of <i8"),
    ("x = 'text'", "reduce", "engine 2: has an object of type str"),
    ("x = np.zeros((2, 2))", "allgather", "engine 2: has an array of"),
    ("x = lambda: 1", "allgather", "engine 2: "),
    ("x = [1, 2, 3]", "alltoall", "engine 2: "),
])
def test_what_does_not_fit_fails_on_all(four, code, verb, want):
    view = four[:]
    view.execute("x = np.arange(4.); r = 'before'", block=True)
    four[2].execute(code, block=True)
    texts = failures(getattr(view, verb)("x", into="r", block=False))
    assert len(texts) == 4
    for i, text in enumerate(texts):
        assert want.split(": ", 1)[1] in text
        assert i == 2 or want in text
    assert view.pull("r", block=True) == ["before"] * 4
    view.execute("x = np.arange(4.)", block=True)
    view.allreduce("x", block=True)


def test_only_code_of_users_gets_a_traceback(four):
    """A long one takes tenths of a second on each engine."""
    def fail_on_2(a, b):
        if me == 2:  # noqa: F821
            raise ArithmeticError("not here")
        return a

    view = four[:]
    for op in ("sum", ipp.interactive(fail_on_2)):
        name = "missing" if op == "sum" else "x"
        result = view.allreduce(name, op, block=False)
        errors = [child.result(WAIT) for child in result._children]
        tracebacks = [error.traceback for error in errors]
        users = [i for i, text in enumerate(tracebacks) if "\n" in text]
        assert users == ([] if op == "sum" else [2])
        assert all(error.evalue in error.traceback for error in errors)


def test_an_interrupt_reaches_all(four):
    view = four[:]
    busy = four[3].apply_async(time.sleep, 30)
    waiting = view.barrier(block=False)
    end = time.monotonic() + WAIT
    while not waiting._children[0].done():  # an idle engine ignores it
        assert time.monotonic() < end
        four.send_signal(signal.SIGINT, targets=[0], block=True)
        concurrent.futures.wait(waiting._children[:1], timeout=2)
    texts = failures(waiting, [0, 1, 2])
    assert len(texts) == 3
    assert all("engine 0" in text or "KeyboardInterrupt" in text
               for text in texts)
    four.send_signal(signal.SIGINT, targets=[3], block=True)
    with pytest.raises(ipp.RemoteError):
        busy.get(WAIT)
    view.barrier(block=True)


def test_an_engine_that_dies_is_named(four):
    view = four[:]
    view.execute("big = np.ones(3_000_000)", block=True)
    pid = four[1].apply_sync(os.getpid)
    busy = four[1].apply_async(time.sleep, 60)
    waiting = view.allreduce("big", block=False)
    later = view.allreduce("big", block=False)
    while not busy.ready() and not four.queue_status(1)["queue"]:
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    for result in (waiting, later):
        texts = failures(result)
        assert len(texts) == 4
        assert sum("engine 1: was killed" in text for text in texts) >= 3
    rest = four[[0, 2, 3]]
    rest.allreduce("big", into="sum", block=True)
    assert [float(s[0]) for s in rest.pull("sum", block=True)] == [3.0] * 3
    with pytest.raises(IndexError, match="no such engine: 1"):
        view.barrier(block=True)


def test_one_that_dies_under_way_stops_nobody(kind):
    """What it had sent and nobody has received is left alone."""
    with our_cluster(kind, 5) as cluster, connected(cluster) as client:
        client[:].execute(PREPARE + "x = np.ones(4_000_000)", block=True)
        pids = client[:].apply_sync(os.getpid)
        for victim in (1, 4, 0):
            view = client[:]
            start = time.monotonic()
            view.allreduce("x", into="y", block=True)
            took = time.monotonic() - start
            dying = view.allreduce("x", into="y", block=False)
            time.sleep(took * (victim + 1) / 8)  # wherever that is
            os.kill(pids[victim], signal.SIGKILL)
            texts = failures(dying)
            assert texts == [] or sum(f"engine {victim}: was killed" in text
                                      for text in texts) >= len(texts) - 1
            until(lambda: victim not in client.ids)
            rest = client[:]
            rest.allreduce("x", into="y", block=False).get(WAIT)
            assert rest["float(y[-1])"] == [len(rest)] * len(rest)
