"""Clusters as batch jobs of a real Slurm with two nodes; this is its login node.

    PYTHON tests/launch/slurm/test_slurm.py [TEST]...

Runs as root, since Slurm's daemons do. The test of the time limit takes two
minutes: Slurm counts in whole ones.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.dont_write_bytecode = True

import ipyparallel as ipp  # noqa: E402
from harness import enclosure, package, places, processes  # noqa: E402
from launch.slurm.slurm import LOGIN, NODES, Slurm, missing  # noqa: E402

WAIT = 90
IPMPI = places.BUILD / "ipmpi"


def wait_until(condition, what: str, seconds: float = WAIT):
    """The condition's first true value. AssertionError when late."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"no {what} in {seconds} s"
        time.sleep(0.1)


class Place:
    """Where the tests' clusters live, and how they are submitted."""

    def __init__(self, slurm: Slurm, root: Path) -> None:
        self.slurm, self.ipython_dir = slurm, root / "i python"
        self.profile_dir = self.ipython_dir / "profile_default"
        slurm.env.update(
            IPYTHONDIR=str(self.ipython_dir), IPMPI_BIN=str(places.BUILD),
            HOME=str(root), OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
            PATH=f"{places.BUILD}:/usr/sbin:/usr/bin:/sbin:/bin",
            # a secret that must not travel with the job
            IPP_CONNECTION_INFO='{"key": "do-not-tell"}')

    def submit(self, *options: str) -> str:
        out = self.slurm.run(IPMPI, "submit", "slurm", *options, "--python",
                             places.here_python())
        return re.search(r"submitted job (\d+)", out).group(1)

    def ipmpi(self, verb: str, job: str) -> str:
        return self.slurm.run(IPMPI, verb, "--cluster-id", f"slurm-{job}")

    def ranks(self) -> list[int]:
        """The processes of all clusters; this namespace has no others."""
        return [pid for pid in map(int, filter(str.isdigit,
                                               os.listdir("/proc")))
                if processes.program(pid) in ("ipmpi-engine", "mpirun",
                                              "srun", "slurmstepd")]

    def log(self, job: str) -> str:
        path = self.profile_dir / "log" / f"ipmpi-slurm-{job}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def client(self, job: str, n: int) -> ipp.Client:
        path = (self.profile_dir / "security"
                / f"ipcontroller-slurm-{job}-client.json")

        def there() -> bool:
            assert self.state(job) in ("PENDING", "RUNNING", "CONFIGURING"), \
                self.log(job) + self.slurm.logs()
            return path.exists()

        try:
            wait_until(there, "connection file")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log(job)}") from None
        client = ipp.Client(cluster_id=f"slurm-{job}", timeout=WAIT,
                            profile_dir=str(self.profile_dir))
        client.wait_for_engines(n, timeout=WAIT)
        return client

    def state(self, job: str) -> str:
        return self.slurm.run("squeue", "-h", "-t", "all", "-j", job, "-o",
                              "%T", check=False).strip()

    def wait_end(self, job: str, seconds: float = WAIT) -> str:
        wait_until(lambda: self.state(job) in (
            "", "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"), "end",
            seconds)
        return self.state(job)


def nodes_of(client: ipp.Client) -> set[str]:
    def node() -> str:
        import os
        return os.environ["SLURMD_NODENAME"]

    return set(client[:].apply_sync(node))


def is_told(client: ipp.Client) -> bool:
    """Has the client heard that its engines are gone?"""
    return client.ids == [] or bool(client._closed)


def test_submit_srun(place: Place) -> None:
    job = place.submit("-N", "2", "--tasks-per-node", "3", "-t", "10")
    with place.client(job, 5) as rc:
        assert nodes_of(rc) == {"n1", "n2"}
        assert sorted(rc.ids) == [0, 1, 2, 3, 4]
        parents = rc[:].apply_sync(
            lambda: (__import__("socket").gethostname(),
                     __import__("os").getppid()))
        assert len(set(parents)) == 2, parents  # one zygote a node
        status = place.ipmpi("status", job)
        assert "5 engines" in status
        assert re.search(r"\nn1\n(.*\n)+n2\n", status), status
        assert f"slurm-{job}" in place.slurm.run(IPMPI, "list")
        assert "5 engines ready" in place.ipmpi("logs", job)
        assert "stopped" in place.ipmpi("stop", job)
    assert place.wait_end(job) in ("", "COMPLETED")


def test_no_secret_leaves_the_connection_files(place: Place) -> None:
    """Neither the cluster's key nor what the user's environment held is known
    to Slurm, or to any process by its environment or arguments."""
    job = place.submit("-n", "3", "-t", "10")
    with place.client(job, 2) as rc:
        secrets = [rc._config["key"].encode(), b"do-not-tell"]
        seen = [place.slurm.run("scontrol", "show", "job", job).encode(),
                place.slurm.run("scontrol", "write", "batch_script", job,
                                "-").encode()]
        seen += [path.read_bytes() for path in place.slurm.root.rglob("*")
                 if path.is_file() and path.name != "munge.key"]
        seen += [Path(f"/proc/{pid}/{name}").read_bytes()
                 for pid in place.ranks() for name in ("environ", "cmdline")]
        assert len(seen) > 10
        for text in seen:
            assert not any(secret in text for secret in secrets), text
        place.ipmpi("stop", job)
    place.wait_end(job)


def test_wait(place: Place) -> None:
    """--wait returns when the cluster is ready, or has failed."""
    out = place.slurm.run(IPMPI, "submit", "slurm", "-n", "2", "-t", "10",
                          "--wait", "--python", places.here_python())
    assert "ready: 1 engine" in out
    job = re.search(r"submitted job (\d+)", out).group(1)
    place.slurm.run("scancel", job)
    place.wait_end(job)
    failed = subprocess.run(
        [IPMPI, "submit", "slurm", "-n", "2", "-t", "10", "--wait",
         "--python", "/no/such"], env=place.slurm.env, text=True, timeout=WAIT,
        capture_output=True)
    assert failed.returncode == 1, failed
    job = re.search(r"submitted job (\d+)", failed.stdout).group(1)
    assert f"ipmpi logs --cluster-id slurm-{job}" in failed.stderr
    assert "/no/such" in place.ipmpi("logs", job)


def test_srun_does_not_grow(place: Place) -> None:
    """srun adds no processes to its step: the cluster says so and lives."""
    from ipmpi.hub import Hub, HubError

    job = place.submit("-n", "2", "-t", "10")
    with place.client(job, 1) as rc:
        info = json.loads((place.profile_dir / "security" /
                           f"ipcontroller-slurm-{job}-client.json")
                          .read_text())
        with Hub(info) as hub:
            try:
                hub.ask("ipmpi_spawn_request", {"n": 1}, seconds=60)
                raise AssertionError("it grew")
            except HubError as error:
                assert "--mpirun" in str(error), error
        assert rc[:].apply_sync(lambda: 6 * 7) == [42]
        place.slurm.run("scancel", job)
    place.wait_end(job)


def test_scancel_tells_clients(place: Place) -> None:
    job = place.submit("-n", "3", "-t", "10")
    with place.client(job, 2) as rc:
        waiting = rc.load_balanced_view().map_async(time.sleep, [60] * 6)
        place.slurm.run("scancel", job)
        wait_until(lambda: is_told(rc), "word of the end", 20)
        wait_until(waiting.ready, "end of the tasks", 20)
        assert not waiting.successful()
    place.wait_end(job)
    assert not list((place.profile_dir / "security").glob(f"*{job}*.json"))


def test_submit_mpirun(place: Place) -> None:
    job = place.submit("-N", "2", "--tasks-per-node", "2", "-t", "10",
                       "--mpirun")
    with place.client(job, 3) as rc:
        assert nodes_of(rc) == {"n1", "n2"}
        rc.shutdown(hub=True, block=True)
    assert place.wait_end(job) in ("", "COMPLETED")


def test_by_hand(place: Place) -> None:
    script = places.SOURCE / "launch" / "slurm" / "ipmpi.sbatch"
    out = place.slurm.run(
        "sbatch", "--parsable", "--nodes=2", "--ntasks-per-node=2",
        "--time=10", f"--output={place.profile_dir}/log/ipmpi-slurm-%j.log",
        script)
    job = out.strip()
    with place.client(job, 3) as rc:
        assert nodes_of(rc) == {"n1", "n2"}
        place.slurm.run("scancel", job)
        wait_until(lambda: is_told(rc), "word of the end", 20)
    place.wait_end(job)


def test_launchers(place: Place) -> None:
    old = dict(os.environ)
    os.environ.update(place.slurm.env)
    try:
        new = ipp.version_info[0] >= 8
        names = ({"controller": "ipmpi-slurm", "engines": "ipmpi-slurm"}
                 if new else {"controller_launcher_class": "ipmpi-slurm",
                              "engine_launcher_class": "ipmpi-slurm"})
        cluster = ipp.Cluster(n=3, cluster_id="byname",
                              profile_dir=str(place.profile_dir), **names)
        with cluster as rc:
            assert sorted(rc.ids) == [0, 1, 2]
            again = ipp.Cluster.from_dict(cluster.to_dict())
            assert again.controller.job_id == cluster.controller.job_id
            job = cluster.controller.job_id
        place.wait_end(job)
    finally:
        os.environ.clear()
        os.environ.update(old)


def test_time_limit(place: Place) -> None:
    """Slurm's early signal ends the cluster before its time is over.

    It is due 120 s before the limit and may come 30 s sooner: of a limit of
    two minutes nothing is left, of three at least the time to connect.
    """
    job = place.submit("-n", "2", "-t", "3")
    with place.client(job, 1) as rc:
        wait_until(lambda: is_told(rc), "word of the end", 150)
    assert "the time is nearly over" in place.log(job)
    assert place.wait_end(job) in ("", "COMPLETED")


def run(name: str, test, place: Place) -> bool:
    start = time.monotonic()
    try:
        test(place)
    except Exception as error:
        print(f"FAILED {name}: {type(error).__name__}: {error}", flush=True)
        return False
    print(f"passed {name} ({time.monotonic() - start:.0f} s)", flush=True)
    return True


def main() -> int:
    lacks = missing()
    if any(path.is_relative_to("/tmp") for path in (places.BUILD,
                                                    places.SOURCE)):
        lacks.append("source outside /tmp, of which each node has its own")
    if lacks:
        print("skipped: no", ", ".join(lacks))
        return 77
    tests = {name: test for name, test in globals().items()
             if name.startswith("test_")}
    wanted = sys.argv[1:] or list(tests)
    processes.clean_up_when_told()
    try:
        enclosure.enter(LOGIN, NODES)
    except OSError as error:
        print("skipped: no namespaces of its own:", error)
        return 77
    root = enclosure.ROOM
    sys.path.insert(0, str(package.install(root / "site")))
    for name in ("slurm", "home"):
        (root / name).mkdir()
    with Slurm(root / "slurm") as slurm:
        place = Place(slurm, root / "home")
        return 1 if sum(not run(name, tests[name], place)
                        for name in wanted) else 0


if __name__ == "__main__":
    sys.exit(main())
