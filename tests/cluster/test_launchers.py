"""ipyparallel's Cluster with our launchers, by name. Upstream's own tests of
Cluster run with them in tests/upstream; here is what those do not ask."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import ipyparallel as ipp
import psutil
import pytest
from harness import package, places, processes
from ipyparallel.cluster.launcher import LauncherError
from traitlets.config import Config

NEW = ipp.version_info[0] >= 8
NAMES = ({"controller": "ipmpi", "engines": "ipmpi"} if NEW else
         {"controller_launcher_class": "ipmpi",
          "engine_launcher_class": "ipmpi"})


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The package installed, the programs known, and a profile directory."""
    site = package.install(tmp_path / "site")
    monkeypatch.syspath_prepend(str(site))
    for name, value in places.environment_for(places.here_python()).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("IPMPI_BIN", str(places.BUILD))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv(processes.MARK, tmp_path.as_posix())
    yield tmp_path
    processes.kill_all(tmp_path.as_posix())


def make(**keywords) -> ipp.Cluster:
    return ipp.Cluster(**{**NAMES, **keywords})


def test_stop_engines_leaves_the_controller(place):
    cluster = make(n=2)
    with cluster as rc:
        pid = cluster.controller.pid
        cluster.stop_engines_sync()
        end = time.monotonic() + 10
        while rc.ids and time.monotonic() < end:
            time.sleep(0.05)
        assert rc.ids == []
        assert cluster.controller.running
        assert cluster.controller.pid == pid
        assert rc.queue_status() == {"unassigned": 0}
        cluster.start_engines_sync(3)
        rc.wait_for_engines(3, timeout=30)
        assert rc[:].apply_sync(os.getpid)
    assert processes.wait_gone(place.as_posix(), 5)
    assert not list(place.rglob("ipcontroller*.json"))


def test_a_process_that_nobody_reaps_is_gone(place):
    """As of another process, in a container whose first does not care."""
    from ipmpi.launchers.local import _wait_gone

    with subprocess.Popen(
            [sys.executable, "-c", "import subprocess, sys\n"
             "print(subprocess.Popen(['true']).pid, flush=True)\n"
             "sys.stdin.read()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        process = psutil.Process(int(parent.stdout.readline()))
        waiting = threading.Thread(target=_wait_gone, args=[process])
        waiting.start()
        waiting.join(10)
        assert not waiting.is_alive()
        assert processes.state(process.pid) == "Z"


def test_engines_have_arguments_of_their_own(place):
    config = Config()
    config.IpmpiEngineSetLauncher.engine_args = [
        "--InteractiveShell.colors=nocolor"]
    with make(n=1, config=config) as rc:
        rc[0].execute("words = open('/proc/self/cmdline').read()", block=True)
        assert "--InteractiveShell.colors=nocolor" in rc[0]["words"]


def test_no_key_in_sight(place):
    """Neither environment nor arguments of any process have it."""
    cluster = make(n=1)
    with cluster as rc:
        key = rc._config["key"].encode()
        for pid in processes.marked(place.as_posix()):
            for name in ("environ", "cmdline"):
                assert key not in Path(f"/proc/{pid}/{name}").read_bytes()


def test_crash_of_the_job_in_its_own_words(place):
    cluster = make(n=1, controller_args=["--scheme=nonsense"])
    try:
        with pytest.raises(LauncherError, match="nonsense"):
            cluster.start_cluster_sync()
    finally:
        cluster.stop_cluster_sync()


def test_crash_of_engines_in_their_own_words(place):
    cluster = make(n=1, controller_args=["--python=/no/such/python"])
    try:
        cluster.start_cluster_sync()
        with cluster.connect_client_sync() as rc:
            with pytest.raises(ipp.error.EngineError):
                rc.wait_for_engines(1, timeout=20)
        engines, = cluster.engines.values()
        assert "/no/such/python" in engines.get_output()
    finally:
        cluster.stop_cluster_sync()


def test_second_cluster_of_a_name_is_refused(place):
    with make(n=1, cluster_id="one"):
        other = make(n=1, cluster_id="one")
        with pytest.raises(LauncherError, match="runs already"):
            other.start_controller_sync()


def test_attach_to_ipmpi_start(place):
    """What `ipmpi start --daemon` leaves is a Cluster's file."""
    ipmpi = [str(places.BUILD / "ipmpi")]
    subprocess.run([*ipmpi, "start", "-n", "2", "-d", "--python",
                    str(places.here_python())], check=True, timeout=60)
    cluster = ipp.Cluster.from_file(
        profile_dir=str(place / "ipython" / "profile_default"))
    with cluster.connect_client_sync() as rc:
        assert rc.ids == [0, 1]
    cluster.stop_cluster_sync()
    assert processes.wait_gone(place.as_posix(), 5)


def test_a_script_that_just_ends(place):
    """Its cluster ends with it, and nobody hears of an error."""
    names = ", ".join(f"{key}={value!r}" for key, value in NAMES.items())
    done = subprocess.run(
        [sys.executable, "-c", "import ipyparallel as ipp\n"
         f"cluster = ipp.Cluster(n=1, {names})\n"
         "cluster.start_cluster_sync()\n"
         "rc = cluster.connect_client_sync()\n"
         "rc.wait_for_engines(1, timeout=30)\n"
         "print(rc[0].apply_sync(len, 'four'))"],
        capture_output=True, text=True, timeout=100, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "4"
    assert "Traceback" not in done.stderr
    assert processes.wait_gone(place.as_posix(), 5)


def ipcluster(place: Path, *args: str) -> str:
    """Its output goes to a file: a daemon of it would hold a pipe open."""
    path = place / "ipcluster.out"
    with path.open("w") as out:
        status = subprocess.call(
            [sys.executable, "-m", "ipyparallel.cluster", *args], timeout=60,
            stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    assert status == 0, path.read_text()
    return path.read_text()


def test_ipcluster(place):
    ipcluster(place, "start", "--controller=ipmpi", "--engines=ipmpi",
              "-n", "2", "--daemonize")
    path = place / "ipython/profile_default/security/cluster-.json"
    end = time.monotonic() + 60
    while not (path.exists() and json.loads(path.read_text() or "{}").get(
            "engines", {}).get("sets")):
        assert time.monotonic() < end
        time.sleep(0.1)
    with ipp.Client(profile_dir=str(path.parent.parent)) as rc:
        rc.wait_for_engines(2, timeout=30)
    rows = ipcluster(place, "list").splitlines()[1:]
    assert [row.split() for row in rows] == [
        ["default", "''", "True", "2", "Ipmpi"]]
    ipcluster(place, "stop")
    assert processes.wait_gone(place.as_posix(), 20)
    assert json.loads(ipcluster(place, "list", "-o", "json")) == []
