"""Engines that die under a bulk map: what fails, what goes elsewhere, and what
is tried again."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from ipyparallel import interactive
from mapped import nap
from ours import WAIT, until


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
