"""ipmpi.sweep: searches by themselves, then on a cluster."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from harness import package
from ipyparallel import interactive

sys.path.insert(0, str(package.CLIENT))

from ipmpi.sweep import (  # noqa: E402
    Asha,
    Grid,
    Halving,
    Random,
    Record,
    Results,
    Sweep,
    SweepError,
    choice,
    loguniform,
    randint,
    uniform,
)
from ipmpi.sweep.progress import Line  # noqa: E402

SPACE = {"x": uniform(0, 6), "kind": ["a", "b"], "fixed": 7}


@interactive
def bowl(x, budget=1, **more):
    """Best at x = 3, and a little better with more budget."""
    return {"score": -(x - 3) ** 2 + 0.001 * budget, "twice": 2 * budget}


def play(search, score, slots=1):
    """Runs a search without a cluster; the jobs in order."""
    jobs, flying = [], []
    while not search.done:
        while len(flying) < slots:
            job = search.next()
            if job is None:
                break
            flying.append(job)
        job = flying.pop(0)
        jobs.append(job)
        search.tell(job, score(job))
    return jobs


# -- spaces and searches ---------------------------------------------------


def test_grid_is_every_combination():
    search = Grid({"a": [1, 2], "b": choice("x", "y"), "c": randint(0, 1),
                   "d": 5})
    params = [job.params for job in play(search, lambda job: 0.0, 3)]
    assert len(params) == 8
    assert params[0] == {"a": 1, "b": "x", "c": 0, "d": 5}
    assert len({json.dumps(p) for p in params}) == 8


@pytest.mark.parametrize("make", [
    lambda: Grid({"a": uniform(0, 1)}), lambda: Grid({"a": []}),
    lambda: uniform(1, 1), lambda: loguniform(0, 1),
    lambda: randint(2, 1), lambda: choice(),
    lambda: Asha(SPACE, 0, min_budget=1, max_budget=2),
    lambda: Asha(SPACE, 3, min_budget=2, max_budget=1),
    lambda: Halving(SPACE, 3, min_budget=1, max_budget=2, factor=1),
    lambda: Random(SPACE, 0)])
def test_nonsense_is_refused(make):
    with pytest.raises(ValueError):
        make()


def test_a_seed_draws_the_same():
    one, other = Random(SPACE, 20, seed=4), Random(SPACE, 20, seed=4)
    drawn = [job.params for job in play(one, lambda job: 0.0)]
    assert drawn == [job.params for job in play(other, lambda job: 0.0)]
    assert all(0 <= p["x"] <= 6 and p["kind"] in "ab" and p["fixed"] == 7
               for p in drawn)


def test_spaces_as_scientists_write_them():
    """Lists, ranges, arrays and scipy's distributions; values are Python's."""
    np, stats = pytest.importorskip("numpy"), pytest.importorskip("scipy.stats")
    grid = Grid({"a": np.array([0.5, 1.5]), "b": range(2), "c": np.int64(3)})
    params = [job.params for job in play(grid, lambda job: 0.0)]
    assert params == [{"a": a, "b": b, "c": 3} for a in (0.5, 1.5)
                      for b in (0, 1)]
    assert {type(v) for p in params for v in p.values()} == {float, int}
    space = {"lr": stats.loguniform(1e-3, 1), "depth": stats.randint(2, 5)}
    drawn = [job.params for job in play(Random(space, 50, seed=1),
                                        lambda job: 0.0)]
    assert drawn == [job.params for job in play(Random(space, 50, seed=1),
                                                lambda job: 0.0)]
    assert {p["depth"] for p in drawn} == {2, 3, 4}
    assert all(1e-3 <= p["lr"] <= 1 for p in drawn)
    assert {type(v) for p in drawn for v in p.values()} == {float, int}
    with pytest.raises(ValueError, match="scipy.stats.loguniform"):
        Grid(space)


def test_a_description_is_the_same_in_another_process():
    """It holds no addresses, else no journal would be recognised."""
    stats = pytest.importorskip("scipy.stats")
    space = {"lr": stats.loguniform(1e-3, 1), "f": [max, json.JSONDecoder]}
    assert Random(space, 2).describe()["space"] == {
        "lr": "scipy.stats.loguniform(0.001, 1)",
        "f": "choice(builtins.max, json.decoder.JSONDecoder)"}


def test_halving_keeps_the_best():
    search = Halving(SPACE, 9, min_budget=2, max_budget=20, seed=1)
    jobs = play(search, lambda job: job.params["x"], slots=4)
    rungs = [[j for j in jobs if j.rung == k] for k in range(3)]
    assert [len(rung) for rung in rungs] == [9, 3, 1]
    assert [rung[0].budget for rung in rungs] == [2, 6, 18]
    best = sorted(rungs[0], key=lambda j: -j.params["x"])
    assert [j.trial for j in rungs[1]] == [j.trial for j in best[:3]]
    assert rungs[2][0].trial == best[0].trial


def test_halving_survives_failures():
    search = Halving(SPACE, 9, min_budget=1, max_budget=9, seed=1)
    jobs = play(search, lambda job: None if job.trial != 5 else 1.0)
    assert [j.trial for j in jobs if j.rung] == [5, 5]
    search = Halving(SPACE, 4, min_budget=1, max_budget=9, seed=1)
    assert len(play(search, lambda job: None)) == 4


def test_asha_promotes_while_others_start():
    search = Asha(SPACE, 27, min_budget=1, max_budget=9, seed=1)
    jobs = play(search, lambda job: job.params["x"], slots=2)
    first = next(i for i, job in enumerate(jobs) if job.rung == 1)
    assert first < 10  # long before all 27 are back
    assert len([j for j in jobs if j.rung == 0]) == 27
    assert 9 <= len([j for j in jobs if j.rung == 1]) < 18
    top = max(jobs, key=lambda j: j.params["x"]).trial
    assert [j.budget for j in jobs if j.trial == top] == [1, 3, 9]
    seen = [(j.trial, j.rung) for j in jobs]
    assert len(set(seen)) == len(seen)


# -- results ---------------------------------------------------------------


def test_results_table():
    records = [Record(0, {"x": 1}, 0, 1, 5.0), Record(1, {"x": 2}, 0, 1, 4.0),
               Record(1, {"x": 2}, 1, 3, 3.0, {"m": 9}),
               Record(2, {"x": 3}, 0, 1, None, error="ValueError: <no>")]
    results = Results(records, 1)
    assert [r.trial for r in results] == [1, 0, 2]  # more budget counts more
    assert results.best.score == 3.0
    assert Results(records[:2], -1).best.trial == 1
    assert Results([], 1).best is None
    text = str(results).splitlines()
    assert text[0].split()[:4] == ["trial", "score", "x", "budget"]
    assert "ValueError: <no>" in text[3]
    assert "&lt;no&gt;" in results._repr_html_()
    pandas = pytest.importorskip("pandas")
    assert isinstance(results.to_pandas(), pandas.DataFrame)
    assert list(results.to_pandas()["trial"]) == [1, 0, 2]


# -- progress --------------------------------------------------------------


class Screen(io.StringIO):
    def __init__(self, live: bool) -> None:
        super().__init__()
        self.isatty = lambda: live


def show_progress(live: bool) -> str:
    screen = Screen(live)
    line = Line(screen, 1, 3)
    for record in (Record(0, {}, 0, None, 0.5), Record(1, {}, 0, None, None),
                   Record(2, {}, 0, None, 0.25)):
        line(record, 2)
    line.end()
    return screen.getvalue()


def test_progress_on_a_terminal_is_one_line():
    text = show_progress(live=True)
    assert text.count("\n") == 1 and text.endswith("\n")
    first, *_, last = text[1:].split("\r")
    assert first.startswith("sweep: 1 of 3 done, 2 running, best 0.5")
    assert last.startswith("sweep: 3 of 3 done, 1 failed, best 0.5")


def test_progress_in_a_log_ends_with_the_sum():
    text = show_progress(live=False)
    assert "\r" not in text
    assert text.splitlines()[-1].startswith("sweep: 3 of 3 done, 1 failed")


# -- on a cluster ----------------------------------------------------------


@pytest.mark.parametrize("make, jobs", [
    (lambda: Grid({"x": [1, 2, 3, 4]}), 4),
    (lambda: Random(SPACE, 12, seed=2), 12),
    (lambda: Halving(SPACE, 9, min_budget=1, max_budget=9, seed=2), 13)])
def test_finds_the_best(rc, make, jobs):
    results = Sweep(bowl, make(), rc, progress=None).run()
    assert len(results) == jobs
    assert all(r.error == "" and r.engine in rc.ids for r in results)
    best = results.best
    assert abs(best.params["x"] - 3) == min(
        abs(r.params["x"] - 3) for r in results)
    assert best.metrics["twice"] == 2 * (best.budget or 1)


def test_minimises(rc):
    @interactive
    def loss(x):
        return (x - 3) ** 2

    results = Sweep(loss, Grid({"x": [1, 3, 5]}), rc, mode="min",
                    progress=None).run()
    assert results.best.params == {"x": 3}


def test_state_goes_on(rc):
    @interactive
    def train(x, budget, state=0):
        return {"score": x, "state": state + 1, "before": state}

    search = Halving({"x": uniform(0, 1)}, 9, min_budget=1, max_budget=9, seed=0)
    results = Sweep(train, search, rc, progress=None).run()
    assert results.best.metrics == {"before": 2}


def test_failures_are_told(rc):
    @interactive
    def sometimes(x):
        if x == 2:
            raise ValueError("two is wrong")
        return "no number" if x == 3 else x

    results = Sweep(sometimes, Grid({"x": [1, 2, 3]}), rc,
                    progress=None).run()
    assert results.best.params == {"x": 1}
    errors = {r.params["x"]: r.error for r in results}
    assert errors[2] == "ValueError: two is wrong"
    assert "no number" in errors[3]
    with pytest.raises(SweepError, match="two is wrong"):
        Sweep(sometimes, Grid({"x": [2]}), rc, progress=None).run()


def test_journal_resumes(rc, tmp_path):
    path = tmp_path / "sweep.jsonl"
    seen = []

    class Stop(Exception):
        pass

    def interrupt(record, flying):
        seen.append(record)
        if len(seen) == 7:
            raise Stop

    def search():
        return Asha({"x": uniform(0, 6)}, 12, min_budget=1, max_budget=9)

    with pytest.raises(Stop):
        Sweep(bowl, search(), rc, journal=path, progress=interrupt).run()
    lines = path.read_text().splitlines()
    assert len(lines) == 8
    with path.open("a") as file:
        file.write('{"trial": 3, "sco')  # the crash came in the middle
    ran = []
    sweep = Sweep(bowl, search(), rc, journal=path,
                  progress=lambda record, flying: ran.append(record))
    results = sweep.run()
    assert len({(r.trial, r.rung) for r in results.records}) == len(results)
    after = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    assert len(after) == len(results)  # nothing ran twice
    assert {r.trial for r in results} == set(range(12))
    with pytest.raises(ValueError, match="another sweep"):
        Sweep(bowl, Asha({"x": uniform(0, 5)}, 12, min_budget=1, max_budget=9), rc,
              journal=path)


def test_journal_of_what_is_not_json(rc, tmp_path):
    """Functions as options, NumPy's numbers as metrics: told as they were."""
    np = pytest.importorskip("numpy")

    @interactive
    def apply(f, x):
        import numpy

        return {"score": f(x, 2), "half": numpy.float32(x / 2)}

    space = {"f": [max, min], "x": np.array([1, 5])}
    path = tmp_path / "sweep.jsonl"
    first = Sweep(apply, Grid(space), rc, journal=path, progress=None).run()
    lines = path.read_text()
    again = Sweep(apply, Grid(space), rc, journal=path, progress=None).run()
    assert path.read_text() == lines
    for results in (first, again):
        assert results.best.params == {"f": max, "x": 5}
        assert results.best.metrics["half"] == 2.5


def test_one_sweep_at_a_time_has_a_journal(rc, tmp_path):
    path = tmp_path / "sweep.jsonl"

    def begin_another(record, flying):
        Sweep(bowl, Grid({"x": [1, 2]}), rc, journal=path,
              progress=None).run()

    with pytest.raises(BlockingIOError, match="another sweep"):
        Sweep(bowl, Grid({"x": [1, 2]}), rc, journal=path,
              progress=begin_another).run()


def test_a_dead_engine_costs_one_retry(make_cluster, connect, tmp_path):
    cluster = make_cluster(2)
    rc = connect(cluster)
    mark = str(tmp_path / "died")

    @interactive
    def train(x, mark):
        import os
        import signal

        if x == 1 and not os.path.exists(mark):
            open(mark, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    results = Sweep(train, Grid({"x": [0, 1, 2, 3], "mark": mark}), rc,
                    progress=None).run()
    assert results.best.params["x"] == 3
    assert all(r.error == "" for r in results)


# -- the examples ----------------------------------------------------------


def run_example(cluster, name: str, *args: str) -> str:
    env = {**cluster.env, "PYTHONPATH": str(package.CLIENT)}
    done = subprocess.run(
        [sys.executable, package.CLIENT / "examples" / name, *args], env=env,
        capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_example_sweep(cluster, tmp_path):
    pytest.importorskip("sklearn")
    out = run_example(cluster, "digits_sweep.py", "--n=9",
                      f"--journal={tmp_path / 'j'}")
    assert "trial" in out
    assert float(out.split("accuracy")[1]) > 0.8


def test_example_joblib(cluster):
    pytest.importorskip("sklearn")
    out = run_example(cluster, "digits_joblib.py", "--n=4")
    assert float(out.split("accuracy")[1]) > 0.8
