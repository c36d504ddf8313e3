"""imap and executors of ipmpi.Client's views, which are bulk maps that are
read while they run."""

from __future__ import annotations

import itertools
import signal
import threading

import pytest
from ipyparallel import error, interactive
from mapped import nap, odd_only
from ours import WAIT


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
