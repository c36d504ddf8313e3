"""Containers of our image on a private network, placed by the stand-in, with
several engines in each, and an unmodified ipyparallel client outside. Needs a
Docker engine and the image ipmpi/engine (containers/build)."""
from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from nodes import IPMPI, ROOT, Job
from standin import Agent, DockerPlacer, Standin
from standin.placing import docker

IMAGE = os.environ.get("IPMPI_IMAGE", "ipmpi/engine")
CLIENT = os.environ.get("IPMPI_CLIENT_PYTHON", "/usr/bin/python3")


def need_docker() -> None:
    """Ends the test with 77 where it cannot run."""
    try:
        there = docker("images", "-q", IMAGE)
    except (OSError, RuntimeError, subprocess.TimeoutExpired):
        there = ""
    if not there:
        print(f"no Docker engine with {IMAGE}: see containers/build")
        sys.exit(77)


class Boxes:
    """Hosts with one container each; `rc` in client code is their cluster's
    Client."""

    def __init__(self, agents: int = 3) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="ipmpi-docker-")
        self.path = Path(self.directory.name)
        self.profile = self.path / "profile"
        tag = f"ipmpi-test-{os.getpid()}"
        self.network = f"{tag}-net"
        # Tracebacks show source lines only where the source is.
        self.placer = DockerPlacer(tag, [self.network], [
            f"--volume={ROOT / 'tests'}:{ROOT / 'tests'}:ro"])
        self.agents = [Agent(hostname=f"host{i}") for i in range(agents)]
        self.server = Standin(self.agents, self.placer, heartbeat=1)
        self.job: Job | None = None

    def start(self, *arguments: str) -> Job:
        self.job = Job([str(IPMPI), "marathon", "start", "--job=boxes",
                        f"--marathon={self.server.urls}", f"--image={IMAGE}",
                        f"--container-network={self.network}",
                        f"--profile-dir={self.profile}", *arguments],
                       self.path)
        return self.job

    def ready(self, *arguments: str) -> Job:
        job = self.start(*arguments)
        job.wait_text("connection file:", 120)
        return job

    def python(self, code: str, seconds: float = 120) -> str:
        before = ("import ipyparallel as ipp, os, time\n"
                  f"rc = ipp.Client(profile_dir={str(self.profile)!r})\n")
        done = subprocess.run(
            [CLIENT, "-W", "ignore", "-c", before + code],
            capture_output=True, text=True, timeout=seconds,
            env={**os.environ, "IPYTHONDIR": str(self.path / "ipython")})
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr
                               + self.job.output())
        return done.stdout

    def count(self, wanted: int) -> int:
        """How many engines work, once there are so many or time is over."""
        return int(self.python(f"""
end = time.time() + 60
while len(rc) != {wanted} and time.time() < end:
    time.sleep(0.2)
print(len(rc[:].apply_sync(os.getpid)))"""))

    def tasks(self) -> list:
        return [t for a in self.server.model.apps.values()
                for t in a.tasks.values() if t.state == "TASK_RUNNING"]

    def hosts_of(self) -> list[str]:
        """Host name of each engine, by id."""
        return json.loads(self.python(
            "import json, socket\n"
            "print(json.dumps(rc[:].apply_sync(socket.gethostname)))"))

    def memory(self) -> list[int]:
        """Of each engine, as `ipmpi status` on this host sees it."""
        text = subprocess.run(
            [str(IPMPI), "status", "--json", f"--profile-dir={self.profile}"],
            capture_output=True, text=True, timeout=60, check=True).stdout
        return [engine["rss"] for engine in json.loads(text)["engines"]]

    def connection(self) -> dict:
        return json.loads((self.profile / "security/ipcontroller-client.json")
                          .read_text())

    def leader(self):
        """Task of rank 0: the one of the connection file's address."""
        address = self.connection()["interface"].split("//")[1]
        return next(t for t in self.tasks() if t.addresses == [address])

    def other(self):
        """Task of a node that does not lead."""
        leader = self.leader()
        return next(t for t in self.tasks() if t is not leader)

    def work_left(self, task) -> int:
        """How many processes of the job run in a container."""
        return int(docker("exec", task.handle, "sh", "-c",
                          "cat /proc/[0-9]*/comm | grep -c -e orted -e mpirun "
                          "-e ipmpi-engine", check=False) or 0)

    def __enter__(self) -> "Boxes":
        return self

    def __exit__(self, *_) -> None:
        if self.job is not None:
            self.job.kill()
        self.server.close()
        self.directory.cleanup()
