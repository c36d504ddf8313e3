"""The program ipmpi: a cluster started, looked at and stopped by it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import ipyparallel as ipp
import pytest
from harness import places, processes

IPMPI = places.BUILD / "ipmpi"
NO_CLUSTER = 72
USAGE = 64


@pytest.fixture
def place(tmp_path):
    """An environment with an empty IPython directory; what a test leaves
    running in it is killed."""
    env = places.environment_for(places.here_python())
    env.update(IPYTHONDIR=str(tmp_path / "ipython"),
               **{processes.MARK: tmp_path.as_posix()})
    env.pop("OMPI_ALLOW_RUN_AS_ROOT", None)
    yield env
    processes.kill_all(tmp_path.as_posix())


def run(env: dict, *args, status: int = 0, both: bool = False) -> str:
    """stdout of ipmpi, or of a failure stderr (`both`: stdout, too); the exit
    status must be as given."""
    done = subprocess.run([IPMPI, *map(str, args)], env=env, text=True,
                          capture_output=True, stdin=subprocess.DEVNULL,
                          timeout=100)
    assert done.returncode == status, done.stdout + done.stderr
    return (done.stdout if status == 0
            else done.stdout + done.stderr if both else done.stderr)


def start(env: dict, n: int, *args) -> str:
    return run(env, "start", "-n", n, "--daemon",
               f"--python={places.here_python()}", *args)


def running_for(env: dict):
    """Since when engine 0 is at its work; None: it has not begun."""
    status = json.loads(run(env, "status", "--json"))
    running = status["engines"][0]["running"]
    return running and running["for_s"]


def until_begun(env: dict) -> float:
    end = time.monotonic() + 10
    while (seconds := running_for(env)) is None:
        assert time.monotonic() < end
    return seconds


def test_a_cluster_from_start_to_stop(place):
    assert "2 engines" in start(place, 2)
    profile = Path(place["IPYTHONDIR"]) / "profile_default"
    with ipp.Client(profile_dir=str(profile)) as rc:
        assert rc.ids == [0, 1]
        ar = rc[0].apply_async(time.sleep, 30)
        first = until_begun(place)
        status = json.loads(run(place, "status", "--json"))
        states = {e["id"]: e["state"] for e in status["engines"]}
        assert states == {0: "busy", 1: "idle"}
        running = status["engines"][0]["running"]
        assert running["msg_id"] == ar.msg_ids[0]
        assert 0 <= first < running_for(place)
        assert status["engines"][0]["rss"] > 1 << 20
        assert status["controller"]["pid"] in processes.marked(
            place[processes.MARK])
        assert f"apply {ar.msg_ids[0]} for " in run(place, "status")
        listed = json.loads(run(place, "list", "--json"))
        assert [(c["state"], c["engines"]) for c in listed] == [
            ("running", 2)]
        assert "2 engines ready" in run(place, "logs")
        assert len(run(place, "logs", "-n", 1).splitlines()) == 1
        assert "runs already" in run(place, "start", "-n", 1, status=1)
    began = time.monotonic()
    assert "stopped" in run(place, "stop")
    assert time.monotonic() - began < 6
    assert processes.wait_gone(place[processes.MARK], 5)
    assert not list((profile / "security").glob("*.json"))
    assert run(place, "list") == "no clusters\n"
    run(place, "status", status=NO_CLUSTER)
    run(place, "stop", status=NO_CLUSTER)


def test_stop_tells_who_waits(place):
    """Whatever a client waits for fails at once, and it is not closed under its
    own feet: the engines are gone, and that is all."""
    start(place, 2)
    profile = Path(place["IPYTHONDIR"]) / "profile_default"
    with ipp.Client(profile_dir=str(profile)) as rc:
        view = rc.load_balanced_view()
        with view.temp_flags(retries=1):
            waiting = view.map_async(time.sleep, [60] * 6)
        first = view.apply_async(time.sleep, 60)
        with view.temp_flags(after=first):
            after = view.apply_async(os.getpid)
        until_begun(place)
        run(place, "stop")
        for result in (waiting, first, after):
            with pytest.raises(Exception) as caught:
                result.get(10)
            assert not isinstance(caught.value, TimeoutError), result
        assert rc.ids == []
        assert not rc._closed


def test_two_clusters(place):
    start(place, 1, "--cluster-id", "a")
    start(place, 1, "--cluster-id", "b", "--profile", "p")
    rows = json.loads(run(place, "list", "--json"))
    assert {row["cluster_id"] for row in rows} == {"a", "b"}
    run(place, "stop", "--all")
    assert run(place, "list") == "no clusters\n"


def test_a_killed_cluster_is_dead(place):
    start(place, 1)
    processes.kill_all(place[processes.MARK])
    assert processes.wait_gone(place[processes.MARK], 10)
    rows = json.loads(run(place, "list", "--json"))
    assert [row["state"] for row in rows] == ["dead"]
    assert "one that died" in run(place, "status", status=NO_CLUSTER)
    start(place, 1)  # its files do not stand in the way
    run(place, "stop")


def test_stop_removes_what_a_killed_cluster_left(place):
    start(place, 1)
    processes.kill_all(place[processes.MARK])
    assert processes.wait_gone(place[processes.MARK], 10)
    security = Path(place["IPYTHONDIR"]) / "profile_default" / "security"
    assert list(security.iterdir())
    assert "removed the files" in run(place, "stop", status=NO_CLUSTER)
    assert not list(security.iterdir())
    assert run(place, "list") == "no clusters\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_start_that_is_told_to_stop_leaves_nothing(place, number):
    log = Path(place["IPYTHONDIR"]) / "profile_default/log/ipmpi.log"
    starting = subprocess.Popen(
        [IPMPI, "start", "-n", "2", "-d"], env=place, text=True,
        stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while not log.exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    starting.send_signal(number)
    assert starting.wait(30) == 128 + number
    assert "told to stop" in starting.stderr.read()
    assert processes.wait_gone(place[processes.MARK], 10)
    assert not list(log.parent.glob("*.starting"))


def test_of_two_starts_one_is_refused(place):
    words = [IPMPI, "start", "-n", "1", "-d",
             f"--python={places.here_python()}"]
    both = [subprocess.Popen(words, env=place, text=True,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT) for _ in range(2)]
    said = {one.wait(100): one.stdout.read() for one in both}
    assert set(said) == {0, 1}
    assert "ready" in said[0]
    assert re.search("under way|runs already", said[1])
    assert "1 engines ready" in run(place, "logs")
    run(place, "stop")


def test_a_start_is_not_taken_in_by_another_cluster(place):
    """One that mpirun starts in the same moment."""
    hand = subprocess.Popen(
        [IPMPI, "start", "-n", "0"], env=place, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    done = subprocess.run([IPMPI, "start", "-n", "0", "-d"], env=place,
                          text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=100)
    if done.returncode == 0:  # then the other is the one that was late
        assert hand.wait(30) != 0
    else:
        assert re.search("is running|just starting|runs already", done.stderr)
        run(place, "status")
    run(place, "stop")
    hand.wait(30)


def test_unwritable_profile(place, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    words = run(place, "start", "-n", 0, "-d", "--profile-dir",
                blocked / "profile", status=1)
    assert f"directory {blocked}" in words
    found = json.loads(run(place, "doctor", "--json", "--profile-dir",
                           blocked / "profile", f"--python={places.here_python()}",
                           status=1, both=True))
    profile, = (c for c in found if c["check"] == "profile")
    assert profile["verdict"] == "broken" and profile["advice"]


def test_stop_insists(place):
    """A controller that does not answer is ended by signals."""
    start(place, 1)
    pid = json.loads(run(place, "status", "--json"))["controller"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    run(place, "stop")
    assert processes.wait_gone(place[processes.MARK], 5)


def test_failure_in_the_jobs_own_words(place):
    words = run(place, "start", "-n", 1, "-d", "--python", "/no/such",
                status=1)
    assert "/no/such" in words
    assert "ended with status" in words


@pytest.mark.parametrize("args", [
    ("start", "-n", "x"), ("start", "-n", "-1"), ("start", "3"),
    ("nonsense",), ("help", "nonsense"), ("doctor", "-n", "4x"),
    ("status", "--cluster-id", "a/b"), ("start", "--cluster-id", "a/b"),
    ("status", "--watch=0"), ("logs", "-n", "x"), ("submit",),
    ("submit", "lsf"), ("submit", "slurm", "--sbatch=x")])
def test_wrong_use(place, args):
    run(place, *args, status=USAGE)


def test_without_ssh(place, tmp_path):
    """Neither ssh nor rsh, as in most images."""
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    for name in ("mpirun", "orted", "sh", "env"):
        (bin_dir / name).symlink_to(Path("/usr/bin") / name)
    place["PATH"] = str(bin_dir)
    start(place, 1)
    run(place, "stop")


def test_engines_have_the_users_paths(place):
    """mpirun that is called by a path puts its own directories first."""
    start(place, 1)
    profile = Path(place["IPYTHONDIR"]) / "profile_default"
    with ipp.Client(profile_dir=str(profile)) as rc:
        names = ("PATH", "LD_LIBRARY_PATH")
        seen = [rc[0].apply_sync(os.getenv, name) for name in names]
    assert seen == [place.get(name) for name in names]
    run(place, "stop")


def test_doctor(place):
    found = json.loads(run(place, "doctor", "--json",
                           f"--python={places.here_python()}"))
    verdicts = {check["check"]: check["verdict"] for check in found}
    assert "broken" not in verdicts.values()
    assert {"mpirun", "python", "/dev/shm", "profile"} <= set(verdicts)
    found = json.loads(subprocess.run(
        [IPMPI, "doctor", "--json", "--python=/no/such"], env=place,
        capture_output=True, text=True, timeout=100).stdout)
    broken = [c for c in found if c["verdict"] == "broken"]
    assert {c["check"] for c in broken} == {"python"}
    assert all(c["advice"] for c in broken)


def test_help(place):
    text = run(place, "help")
    for verb in ("start", "stop", "list", "status", "logs", "submit",
                 "doctor"):
        assert verb in text
        assert "Usage: ipmpi " + verb in run(place, verb, "--help")


def test_submit_without_slurm(place):
    script = run(place, "submit", "slurm", "-N", 4, "--tasks-per-node", 16,
                 "-t", "8:00:00", "--dry-run")
    assert "#SBATCH --nodes=4\n" in script
    assert "#SBATCH --ntasks-per-node=16\n" in script
    place["PATH"] = "/nonexistent"
    assert "sbatch" in run(place, "submit", "slurm", "-n", 2, status=71)
