"""How the stand-in runs a task: not at all, in namespaces, or in Docker."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

from harness.processes import die_with_parent

GRACE_MOST = 30


class FakePlacer:
    """Tasks that run at once and are killed at once."""

    def start(self, model, task, environment) -> None:
        def later() -> None:
            for state in ("TASK_STARTING", "TASK_RUNNING"):
                time.sleep(0.05)
                model.on_state(task, state)
        threading.Thread(target=later, daemon=True).start()

    def kill(self, model, task, grace) -> None:
        def later() -> None:
            time.sleep(0.05)
            model.on_state(task, "TASK_KILLED")
        threading.Thread(target=later, daemon=True).start()

    def close(self) -> None:
        pass


class NamespacePlacer:
    """Real processes with their own host name, process ids, /tmp, /dev/shm.

    The application's image is not looked at: `command` runs in its place.
    """

    def __init__(self, command: list[str], directory: Path) -> None:
        self.command = command
        self.directory = directory
        self.tasks: list = []

    def start(self, model, task, environment) -> None:
        name = f"t{len(self.tasks)}"
        own = self.directory / f"tmp-{name}"
        setup = (f"hostname {name}; mkdir -p {own}; "
                 "mount -t tmpfs -o mode=1777 tmpfs /dev/shm; "
                 "mount -t proc proc /proc; exec \"$@\"")
        log = self.directory / f"{name}.log"
        with log.open("wb") as output:
            task.handle = subprocess.Popen(
                ["unshare", "-m", "-u", "-p", "-i", "-f", "--kill-child",
                 "sh", "-ec", setup, "sh", *self.command],
                env={**os.environ, "TMPDIR": str(own),
                     "OMPI_MCA_rmaps_base_oversubscribe": "1",
                     "OMPI_MCA_mpi_yield_when_idle": "1", **environment},
                stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
                preexec_fn=die_with_parent)
        task.log = log
        self.tasks.append(task)

        def watch() -> None:
            model.on_state(task, "TASK_STARTING")
            model.on_state(task, "TASK_RUNNING", addresses=["127.0.0.1"])
            code = task.handle.wait()
            model.on_state(task, "TASK_FINISHED" if code == 0
                           else "TASK_FAILED",
                           f"Command exited with status {code}")
        threading.Thread(target=watch, daemon=True).start()

    def inner(self, task) -> int:
        pid = task.handle.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return int(children.split()[0])

    def kill(self, model, task, grace) -> None:
        def later() -> None:
            try:
                os.kill(self.inner(task), signal.SIGTERM)
                task.handle.wait(min(grace, GRACE_MOST))
            except (subprocess.TimeoutExpired, IndexError, OSError):
                self.vanish(task)
        threading.Thread(target=later, daemon=True).start()

    def vanish(self, task) -> None:
        """The machine is gone: nothing is told to anyone inside."""
        if task.handle.poll() is None:
            os.kill(task.handle.pid, signal.SIGKILL)

    def close(self) -> None:
        for task in self.tasks:
            self.vanish(task)


def docker(*arguments: str, check: bool = True, seconds: float = 120) -> str:
    """What the command prints; RuntimeError with its complaint if it fails."""
    done = subprocess.run(["docker", *arguments], capture_output=True,
                          text=True, timeout=seconds)
    if check and done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return done.stdout.strip()


class DockerPlacer:
    """Real containers on private networks, which it makes and removes."""

    def __init__(self, tag: str, networks: list[str],
                 arguments: list[str] | None = None) -> None:
        self.tag = tag
        self.networks = networks
        self.arguments = arguments or []
        self.names: list[str] = []
        for network in networks:
            docker("network", "create", "--internal", network)

    def start(self, model, task, environment) -> None:
        name = f"{self.tag}-{len(self.names)}"
        self.names.append(name)
        task.handle = name
        threading.Thread(target=self.run, args=(model, task, environment),
                         daemon=True).start()

    def command(self, task, environment) -> list[str]:
        spec = task.app.spec
        container = spec["container"]["docker"]
        command = ["run", "--detach", "--name", task.handle, "--hostname",
                   task.handle, "--label", f"MESOS_TASK_ID={task.id}",
                   *self.arguments]
        for key, value in environment.items():
            command += ["--env", f"{key}={value}"]
        for row in container.get("parameters", []):
            command.append(f"--{row['key']}={row['value']}")
        for volume in spec["container"].get("volumes", []):
            command += ["--volume", f"{volume['hostPath']}:"
                        f"{volume['containerPath']}:"
                        f"{volume.get('mode', 'RW').lower()}"]
        network = spec["networks"][0]
        command += ["--network", network.get("name") or "host",
                    container["image"]]
        return command + list(spec.get("args") or [])

    def address(self, task, network: str) -> str:
        found = json.loads(docker("inspect", task.handle))[0]
        return found["NetworkSettings"]["Networks"][network]["IPAddress"]

    def run(self, model, task, environment) -> None:
        model.on_state(task, "TASK_STARTING")
        try:
            docker(*self.command(task, environment))
            network = task.app.spec["networks"][0].get("name")
            addresses = [self.address(task, network)] if network else []
        except RuntimeError as error:
            model.on_state(task, "TASK_FAILED", str(error)[:300])
            return
        model.on_state(task, "TASK_RUNNING", addresses=addresses)
        code = subprocess.run(["docker", "wait", task.handle],
                              capture_output=True, text=True).stdout.strip()
        model.on_state(task, "TASK_FINISHED" if code == "0" else
                       "TASK_FAILED",
                       f"Container exited with status {code}")

    def kill(self, model, task, grace) -> None:
        threading.Thread(
            target=docker, args=("stop", "--time", str(min(grace, GRACE_MOST)),
                                 task.handle), kwargs={"check": False},
            daemon=True).start()

    def vanish(self, task) -> None:
        docker("kill", task.handle, check=False)

    def cut(self, task, network: str) -> None:
        """Its cable is pulled; the container runs on."""
        docker("network", "disconnect", "--force", network, task.handle)

    def mend(self, task, network: str) -> None:
        """It is plugged in again, perhaps with another address."""
        docker("network", "connect", network, task.handle)
        task.addresses = [self.address(task, network)]

    def close(self) -> None:
        for name in self.names:
            docker("rm", "--force", name, check=False)
        for network in self.networks:
            docker("network", "rm", network, check=False)
