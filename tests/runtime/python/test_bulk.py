"""Pieces of bulk jobs: ipmpi_engine.bulk."""

import array
import itertools
import pickle
import signal
import time

import fake_ipmpi as fake
import pytest
from ipyparallel.serialize import pack_apply_message

_jobs = itertools.count(1)


class Piece:
    """Items [first, end) of a job, sent to the engine and run."""

    def __init__(self, engine, f, items, *, first=0, end=None, unit=4, chunk=0,
                 limit_us=60_000_000, star=False, data=None):
        end = len(items) if end is None else end
        start = first // unit * unit
        table, blob = array.array("Q", [1000]), b""  # as of a larger table
        for at in range(start, end, unit):
            blob += pickle.dumps(items[at:at + unit]) if data is None else data
            table.append(1000 + len(blob))
        fake.steps.clear()
        self.ref = fake.feed(
            "ipmpi_bulk_request",
            {"job": next(_jobs), "first": first, "end": end, "unit": unit,
             "start": start, "chunk": chunk, "retry": False,
             "limit_us": limit_us, "call": {"canned": False, "star": star}},
            [table.tobytes(), blob, *pack_apply_message(f, (), {})])
        reply = engine.run(self.ref)
        assert reply.status == fake.OK
        self.reports = [*fake.parts.get(self.ref, []),
                        (reply.content, reply.buffers)]
        self.first, self.end = first, end
        self.done = reply.content["end"]

    def outcomes(self):
        """The results, with (ename, evalue) where an item failed."""
        got, at = [], self.first
        for content, (results, times) in self.reports:
            assert content["first"] == at
            values = pickle.loads(results)
            assert len(values) == content["end"] - at
            for a, b, error in content["errors"]:
                for index in range(a, b):
                    values[index - at] = (error["ename"], error["evalue"])
            got += values
            at = content["end"]
        return got

    def tasks(self):
        """How many items each timed task had."""
        times = array.array("d")
        for _, (_, part) in self.reports:
            times.frombytes(part)
        return [int(n) for n in times[::3]]


@pytest.mark.parametrize("first, end", [(0, 10), (0, 1), (3, 5), (4, 8),
                                        (7, 10), (9, 10)])
@pytest.mark.parametrize("unit", [1, 4, 100])
def test_any_range_of_items(engine, first, end, unit):
    piece = Piece(engine, lambda x: -x, list(range(10)), first=first, end=end,
                  unit=unit)
    assert piece.outcomes() == [-x for x in range(first, end)]
    assert piece.done == end


def test_several_arguments_and_ranges(engine):
    assert Piece(engine, pow, [(2, 3), (3, 2)], star=True).outcomes() == [8, 9]
    assert Piece(engine, abs, range(6)).outcomes() == list(range(6))


def test_chunks_are_timed_as_a_whole(engine):
    piece = Piece(engine, abs, list(range(10)), unit=4, chunk=4)
    assert piece.tasks() == [4, 4, 2]
    assert Piece(engine, abs, [1, 2], unit=1, chunk=1).tasks() == [1, 1]


def fail_at(x):
    if x in (0, 3, 4, 9):
        raise KeyError(x)
    return x


@pytest.mark.parametrize("chunk", [0, 4])
def test_items_fail_by_themselves(engine, chunk):
    got = Piece(engine, fail_at, list(range(10)), chunk=chunk).outcomes()
    assert got == [("KeyError", str(x)) if x in (0, 3, 4, 9) else x
                   for x in range(10)]


def test_tracebacks_show_the_users_frames(engine):
    content, _ = Piece(engine, fail_at, [0]).reports[-1]
    text = "\n".join(content["errors"][0][2]["traceback"])
    assert "fail_at" in text and "_run_slice" not in text


def test_a_function_that_cannot_be_unpacked_fails_all(engine):
    class Bad:
        def __reduce__(self):
            return (int, ("no number",))

        def __call__(self, x):
            return x

    got = Piece(engine, Bad(), [1, 2, 3]).outcomes()
    assert [ename for ename, _ in got] == ["ValueError"] * 3


def test_items_that_cannot_be_unpacked_fail_their_unit(engine):
    got = Piece(engine, abs, list(range(6)), data=b"nonsense").outcomes()
    assert [ename for ename, _ in got] == ["UnpicklingError"] * 6


def test_results_that_cannot_be_packed_fail_alone(engine):
    def make(x):
        import threading

        return threading.Lock() if x == 1 else x

    got = Piece(engine, make, [0, 1, 2]).outcomes()
    assert got[::2] == [0, 2] and got[1][0] == "TypeError"


def test_a_slow_piece_hands_its_rest_back(engine):
    piece = Piece(engine, time.sleep, [0.02] * 100, limit_us=50_000)
    assert 2 <= piece.done < 20
    assert len(piece.outcomes()) == piece.done


def test_a_chunk_is_not_handed_back_half_done(engine):
    piece = Piece(engine, time.sleep, [0.02] * 8, unit=4, chunk=4,
                  limit_us=10_000)
    assert piece.done == 4


def test_a_cancelled_piece_stops_between_two_items(engine):
    fake.cancelled = "aborted"
    try:
        piece = Piece(engine, abs, list(range(1000)), unit=1000)
    finally:
        fake.cancelled = None
    assert piece.done == 1


def test_results_are_reported_while_the_rest_runs(engine):
    piece = Piece(engine, time.sleep, [0.06] * 3)
    assert [content["end"] for content, _ in piece.reports] == [1, 2, 3]


def test_each_item_is_noted_before_it_begins(engine):
    def last(x):
        import fake_ipmpi

        return fake_ipmpi.steps[-1]

    got = Piece(engine, last, list(range(5)), unit=1, chunk=1).outcomes()
    assert got == [1, 2, 3, 4, 5]
    assert fake.steps == sorted(fake.steps)


def test_an_interrupt_fails_the_item_that_runs(engine):
    def interrupt(x):
        import os
        import signal

        if x == 1:
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(1000):
                pass
        return x

    got = Piece(engine, interrupt, [0, 1, 2]).outcomes()
    assert got == [0, ("KeyboardInterrupt", ""), 2]
    assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
