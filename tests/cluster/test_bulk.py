"""Bulk maps of ipmpi.Client: what AsyncMapResult, imap and executors promise,
item by item."""

from __future__ import annotations

import functools
import itertools
import os
import signal
import threading
from pathlib import Path

import ipyparallel as ipp
import pytest
from ipyparallel import error, interactive
from ours import WAIT, connected, our_cluster, until


@pytest.fixture(scope="module")
def bulk_cluster(kind):
    with our_cluster(kind, 3) as cluster:
        yield cluster


@pytest.fixture
def rc(bulk_cluster):
    with connected(bulk_cluster) as client:
        yield client
        assert client.wait(timeout=WAIT)
        assert not client.outstanding
        until(lambda: not client._futures and not client._output_futures)


@pytest.fixture
def view(rc):
    return rc.load_balanced_view()


@pytest.fixture
def own(kind):
    """A client of a cluster that the test may damage."""
    with our_cluster(kind, 3) as cluster, connected(cluster) as client:
        yield client


@interactive
def odd_only(x):
    if x % 2 == 0:
        raise ValueError(f"{x} is even")
    return x


@interactive
def nap(seconds):
    import time

    time.sleep(seconds)
    return seconds


def slow_from(first):
    """A function of numbers: those from the first on take 20 ms."""
    return functools.partial(interactive(nap_from), first)


def nap_from(first, x):
    import time

    time.sleep(0.02 if x >= first else 0)


@pytest.mark.parametrize("chunksize", [None, 1, 7, 5000])
@pytest.mark.parametrize("items", [1, 2, 1000])
def test_it_is_map(view, items, chunksize):
    got = view.map_sync(interactive(lambda x: x * x), range(items),
                        chunksize=chunksize)
    assert got == [x * x for x in range(items)]


def test_one_message_for_many_items(rc, view):
    before = len(rc.history)
    assert view.map_sync(abs, range(-5000, 0)) == list(range(5000, 0, -1))
    assert len(rc.history) == before + 1
    assert view.history[-1] == rc.history[-1]


def test_what_does_not_fit_into_one_message_goes_in_several(view, monkeypatch):
    monkeypatch.setattr("ipmpi.items.MESSAGE_BYTES", 10000)
    result = view.map_async(len, [b"x" * n for n in range(300)])
    assert result.get(WAIT) == list(range(300))
    assert len(result.msg_ids) > 3
    assert len(result) == result.progress == 300
    assert list(view.map_async(len, [b"x" * n for n in range(300)])) == list(
        range(300))


def test_sequences_of_all_kinds(rc, view):
    numpy = pytest.importorskip("numpy")
    assert view.map_sync(pow, [1, 2, 3], (2, 2, 2, 2)) == [1, 4, 9]
    assert view.map_sync(abs, (x for x in [-1, -2])) == [1, 2]
    assert view.map_sync(str, "abc") == ["a", "b", "c"]
    assert view.map_sync(sorted, {3: 1}.items()) == [[1, 3]]
    assert view.map_sync(abs, []) == []
    rows = view.map_sync(interactive(lambda row: row.sum()),
                         numpy.arange(12).reshape(4, 3))
    assert rows == [3, 12, 21, 30]
    big = [numpy.full(200000, i) for i in range(8)]
    assert [x[0] for x in view.map_sync(
        interactive(lambda a: a + 1), big)] == list(
        range(1, 9))


def test_functions_and_references_are_canned(rc, view):
    rc[:].push({"a": 7}, block=True)
    functions = [interactive(lambda: 1), interactive(lambda: a)]  # noqa: F821
    assert view.map_sync(interactive(lambda f: f()), functions) == [1, 7]
    assert view.map_sync(interactive(lambda x, y: x + y),
                         [ipp.Reference("a")] * 3, [1, 2, 3]) == [8, 9, 10]
    assert [f() for f in view.map_sync(interactive(lambda x: lambda: x),
                                       range(3))] == [0, 1, 2]
    assert view.map_sync(bytes, [memoryview(b"abc")]) == [b"abc"]


@pytest.mark.parametrize("chunksize", [None, 1, 3])
def test_errors_are_of_items(view, chunksize):
    result = view.map_async(odd_only, range(10), chunksize=chunksize)
    with pytest.raises(error.CompositeError) as caught:
        result.get(WAIT)
    assert [text for _, text, *_ in caught.value.elist] == [
        f"{x} is even" for x in range(0, 10, 2)]
    assert not result.successful()
    got = view.map_async(odd_only, range(10), chunksize=chunksize,
                         return_exceptions=True).get(WAIT)
    assert got[1::2] == [1, 3, 5, 7, 9]
    assert all(isinstance(e, error.RemoteError) for e in got[::2])
    assert got[4].ename == "ValueError" and got[4].evalue == "4 is even"
    assert "odd_only" in got[4].traceback
    assert got[4].engine_info["engine_id"] in view.client.ids


def test_odd_ways_to_fail(view):
    @interactive
    def fail(how):
        if how == 0:
            raise StopIteration
        if how == 1:
            raise SystemExit(3)
        if how == 2:
            return threading.Lock()  # noqa: F821
        return how

    view.client[:].execute("import threading", block=True)
    got = view.map_async(fail, range(4), return_exceptions=True).get(WAIT)
    assert [e.ename for e in got[:3]] == ["StopIteration", "SystemExit",
                                          "TypeError"]
    assert got[3] == 3


def test_results_that_we_do_not_know_fail_here(view):
    @interactive
    def make(x):
        import sys
        import types

        module = sys.modules.setdefault("only_there",
                                        types.ModuleType("only_there"))
        module.Thing = type("Thing", (), {"__module__": "only_there"})
        return module.Thing()

    with pytest.raises(ModuleNotFoundError):
        view.map_sync(make, range(3))


def test_iteration_while_it_runs(view):
    result = view.map_async(nap, [0.01, 30])
    assert next(iter(result)) == 0.01
    assert result.progress == 1 and not result.ready()
    with pytest.raises(TimeoutError):
        result.get(0.01)
    result.abort()
    view.client.send_signal(signal.SIGINT, block=True)
    with pytest.raises(error.CompositeError, match="KeyboardInterrupt"):
        result.get(WAIT)


def test_unordered_iteration(view):
    times = [0.5, 0.01, 0.02]
    assert list(view.map_async(nap, times, ordered=False)) == sorted(times)
    assert list(view.map_async(nap, times)) == times


def test_iteration_raises_at_the_item(view):
    result = iter(view.map_async(odd_only, [1, 3, 4, 5]))
    assert [next(result), next(result)] == [1, 3]
    with pytest.raises(error.CompositeError, match="4 is even"):
        next(result)


def test_metadata_of_tasks(view):
    result = view.map_async(nap, [0.02] * 6, chunksize=1)
    result.get(WAIT)
    assert len(result.metadata) == 6
    assert set(result.engine_id) <= set(view.client.ids)
    assert len(set(result.engine_id)) == 3
    assert all(0.02 <= (end - start).total_seconds() < 5 for start, end in
               zip(result.started, result.completed))
    assert 0.12 <= result.serial_time < 5
    assert result.wall_time > 0


def test_output_is_the_whole_maps(view, capsys):
    result = view.map_async(print, ["one", "two"])
    result.get(WAIT)
    assert result.wait_for_output(WAIT)
    assert sorted(result.stdout[0].split()) == ["one", "two"]
    result.display_outputs()
    assert "one" in capsys.readouterr().out


def test_abort_keeps_what_is_done(view):
    result = view.map_async(nap, [0.05] * 2000)
    until(lambda: result.progress > 3)
    result.abort()
    with pytest.raises(error.TaskAborted):
        result.get(WAIT)
    got = view.map_async(nap, [0.05] * 2000, return_exceptions=True)
    until(lambda: got.progress > 3)
    got.abort()
    done = [x for x in got.get(WAIT) if x == 0.05]
    assert 3 < len(done) < 1000


def test_abort_stops_a_piece_between_two_items(rc, view):
    """The items are quick at first, so that pieces are long."""
    result = view.map_async(slow_from(5000), range(100000))
    until(lambda: result.progress > 5000)
    result.abort()
    with pytest.raises(error.TaskAborted):
        result.get(WAIT)
    assert rc[:].apply_sync(abs, -1) == [1] * 3


def test_dependencies_of_a_map(view):
    first = view.map_async(nap, [0.1] * 3)
    with view.temp_flags(after=first):
        second = view.map_async(abs, range(3))
    assert second.get(WAIT) == [0, 1, 2]
    assert first.ready()
    failed = view.map_async(odd_only, [2])
    with view.temp_flags(after=failed):
        never = view.map_async(abs, [1])
    with pytest.raises(error.CompositeError, match="ImpossibleDependency"):
        never.get(WAIT)
    with pytest.raises(error.CompositeError):
        failed.get(WAIT)


def test_targets(rc):
    view = rc.load_balanced_view(targets=[1])
    result = view.map_async(nap, [0] * 50, chunksize=1)
    result.get(WAIT)
    assert set(result.engine_id) == {1}


def test_a_retry_runs_on_another_engine(rc, view):
    @interactive
    def once(x):
        import os
        from pathlib import Path

        path = Path(tempdir) / str(x)  # noqa: F821
        tries = path.read_text().split() if path.exists() else []
        path.write_text(" ".join([*tries, str(os.getpid())]))
        if len(tries) < 2 and x % 3 == 0:
            raise RuntimeError("not yet")
        return x

    import tempfile

    with tempfile.TemporaryDirectory() as place:
        rc[:].push({"tempdir": place}, block=True)
        view.retries = 2
        assert view.map_sync(once, range(30)) == list(range(30))
        for x in range(0, 30, 3):
            pids = (Path(place) / str(x)).read_text().split()
            assert len(pids) == 3
            assert all(a != b for a, b in zip(pids, pids[1:]))
        view.retries = 1
        for path in Path(place).iterdir():
            path.unlink()
        with pytest.raises(error.CompositeError, match="not yet"):
            view.map_sync(once, range(1))


def test_tasks_and_direct_work_come_between(rc, view):
    result = view.map_async(nap, [0.005] * 3000)
    assert view.apply_sync(abs, -3) == 3
    assert rc[:].apply_sync(abs, -4) == [4] * 3
    assert not result.ready()
    result.abort()
    with pytest.raises(error.TaskAborted):
        result.get(WAIT)


def test_slow_items_after_quick_ones_are_shared(view):
    """Pieces cut for quick items hand the rest back."""
    result = view.map_async(slow_from(20000), range(20300))
    result.get(WAIT)
    slow = [task["engine_id"] for task in result.metadata
            if (task["completed"] - task["started"]).total_seconds() >= 0.02]
    assert len(set(slow)) == 3


def test_maps_in_several_threads(rc):
    def work(n):
        view = rc.load_balanced_view()
        got[n] = view.map_sync(interactive(lambda x: x + 1),
                               range(n, n + 2000))

    got = {}
    threads = [threading.Thread(target=work, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert got == {n: list(range(n + 1, n + 2001)) for n in range(5)}


# ---- imap and executors -------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("most", ["auto", 1, 10, 0])
def test_imap(view, ordered, most):
    got = list(view.imap(interactive(lambda x: -x), iter(range(500)),
                         ordered=ordered, max_outstanding=most))
    assert (got if ordered else sorted(got, reverse=True)) == list(
        range(0, -500, -1))


@pytest.mark.parametrize("most", ["auto", 7])
def test_imap_reads_a_bounded_number_ahead(view, most):
    read = []

    def numbers():
        for n in itertools.count():
            read.append(n)
            yield n

    results = view.imap(nap, (0.001 * (n >= 0) for n in numbers()),
                        max_outstanding=most)
    for taken in range(1, 30):
        next(results)
        assert len(read) <= taken + (7 if most == 7 else 1 << 16)
    if most == 7:
        before = len(read)
        assert before <= 29 + 7
    results.cancel()
    assert len(list(results)) <= len(read)


def test_imap_of_a_slow_generator_does_not_wait_for_more(view):
    go_on = threading.Event()

    def numbers():
        yield 1
        yield 2
        assert go_on.wait(WAIT)
        yield 3

    results = view.imap(abs, numbers())
    assert [next(results), next(results)] == [1, 2]
    go_on.set()
    assert list(results) == [3]


def test_imap_fails_as_the_generator_does(view):
    def numbers():
        yield 1
        raise LookupError("no more")

    results = view.imap(abs, numbers())
    assert next(results) == 1
    with pytest.raises(LookupError, match="no more"):
        next(results)


def test_imap_raises_at_the_item(view):
    results = view.imap(odd_only, [1, 2, 3])
    assert next(results) == 1
    with pytest.raises(error.CompositeError, match="2 is even"):
        next(results)
    got = list(view.imap(odd_only, [1, 2, 3], return_exceptions=True))
    assert got[::2] == [1, 3] and got[1].ename == "ValueError"


def test_executor(rc, view):
    with view.executor as pool:
        assert list(pool.map(pow, range(100), itertools.repeat(2))) == [
            x * x for x in range(100)]
        futures = [pool.submit(nap, 0.01) for _ in range(4)]
        unread = pool.map(abs, range(-200000, 0))
    assert all(future.done() for future in futures)
    assert next(unread) == 200000
    assert sum(unread) == sum(range(200000))
    late = rc.executor().map(nap, [0, 10], timeout=0.5, chunksize=1)
    assert next(late) == 0
    with pytest.raises(TimeoutError):
        next(late)
    rc.send_signal(signal.SIGINT, block=True)
    rc.wait(timeout=WAIT)


# ---- engines that die ---------------------------------------------------


@interactive
def die_once(x):
    """Kills the engine that has item 50, the first time."""
    import os
    import signal
    from pathlib import Path

    with open(Path(tempdir) / str(x), "a") as file:  # noqa: F821
        file.write("x")
    if x == 50 and (Path(tempdir) / "50").stat().st_size == 1:  # noqa: F821
        os.kill(os.getpid(), signal.SIGKILL)
    return x


@pytest.mark.parametrize("chunksize", [None, 1])
def test_an_engine_that_dies_fails_what_it_was_running(own, tmp_path,
                                                       chunksize):
    own[:].push({"tempdir": str(tmp_path)}, block=True)
    view = own.load_balanced_view()
    got = view.map_async(die_once, range(3000), chunksize=chunksize,
                         return_exceptions=True).get(WAIT)
    failed = [x for x, y in enumerate(got) if y != x]
    assert 50 in failed
    assert all(got[x].ename == "EngineError" for x in failed)
    assert "killed" in got[50].evalue
    assert len(failed) < (1500 if chunksize is None else 1000)
    # what had not begun went elsewhere, once; what had begun ran once
    begun = {int(path.name): path.stat().st_size
             for path in tmp_path.iterdir()}
    assert set(begun) | set(failed) == set(range(3000))
    assert set(begun.values()) == {1}
    assert len(own.ids) == 2


def test_what_died_with_its_engine_is_tried_again(own, tmp_path):
    own[:].push({"tempdir": str(tmp_path)}, block=True)
    view = own.load_balanced_view()
    view.retries = 1
    assert view.map_sync(die_once, range(3000)) == list(range(3000))


def test_items_of_chunks_of_one_are_reckoned_exactly(own, tmp_path):
    """Slow enough that each result is reported before the next item is."""
    own[:].push({"tempdir": str(tmp_path)}, block=True)

    own[:].push({"die_once": die_once}, block=True)

    @interactive
    def slow(x):
        import time

        time.sleep(0.06)
        return die_once(x)

    got = own.load_balanced_view().map_async(
        slow, range(45, 60), chunksize=1, return_exceptions=True).get(WAIT)
    assert [x for x, y in zip(range(45, 60), got) if x != y] == [50]


def test_all_engines_die(own):
    view = own.load_balanced_view()
    view.targets = own.ids  # none that comes later will do
    result = view.map_async(nap, [0.05] * 10000, return_exceptions=True)
    until(lambda: result.progress > 3)
    for pid in own[:].apply_async(os.getpid).get(WAIT):
        os.kill(pid, signal.SIGKILL)
    got = result.get(WAIT)
    assert {e.ename for e in got if e != 0.05} == {"EngineError",
                                                   "ImpossibleDependency"}
