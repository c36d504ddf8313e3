"""Nodes for the launcher's tests: agents in namespaces of this machine.

A node is an `ipmpi agent` with its own host name, process ids, shared memory
and /tmp, as a container has; traffic stays on 127.0.0.1. Needs root.
"""
from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from harness.processes import die_with_parent

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("IPMPI_BUILD", ROOT / "build"))
IPMPI = BUILD / "ipmpi"
HELLO = BUILD / "tests" / "launch_hello"

# Private /tmp, /dev/shm and /proc; the shared directory stays reachable.
SETUP = """
hostname {name}
mount --bind {shared} {shared}
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t proc proc /proc
mkdir -p {own}
exec env TMPDIR={own} "$@"
"""


def wait_for(condition, seconds: float = 30.0, what: str = "condition"):
    """Polls until the condition holds; returns its value or raises."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come within {seconds} s")
        time.sleep(0.02)


class Node:
    """One agent in namespaces of its own."""

    def __init__(self, shared: Path, name: str, job: str = "test",
                 secret: Path | None = None, slots: int = 2, port: int = 0,
                 environment: dict[str, str] | None = None,
                 arguments: list[str] | None = None,
                 bind: str = "127.0.0.1") -> None:
        self.bind = bind
        self.shared = shared
        self.name = name
        self.log = shared / f"{name}.log"
        self.port_file = shared / f"{name}.port"
        self.port_file.unlink(missing_ok=True)
        self.known_port = 0
        own = shared / f"tmp-{name}"
        command = [str(IPMPI), "agent", f"--job={job}", f"--port={port}",
                   f"--bind={bind}", f"--slots={slots}",
                   f"--port-file={self.port_file}"]
        if secret is not None:
            command.append(f"--secret-file={secret}")
        command += arguments or []
        setup = SETUP.format(name=name, shared=shared, own=own)
        output = self.log.open("wb")
        self.process = subprocess.Popen(
            ["unshare", "-m", "-u", "-p", "-i", "-f", "--kill-child",
             "sh", "-ec", setup, "sh", *command],
            stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=die_with_parent,
            env={**os.environ, "OMPI_MCA_rmaps_base_oversubscribe": "1",
                 "OMPI_MCA_mpi_yield_when_idle": "1", **(environment or {})})
        output.close()

    @property
    def port(self) -> int:
        """The port it listens on; waits for it."""
        if self.known_port:
            return self.known_port

        def read() -> int:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name}: {self.log.read_text()}")
            if not self.port_file.exists():
                return 0
            return int(self.port_file.read_text())
        self.known_port = wait_for(read, what=f"port of {self.name}")
        return self.known_port

    @property
    def address(self) -> str:
        return f"{self.bind}:{self.port}"

    def inner_pid(self) -> int:
        """Process id, in our eyes, of the agent: process 1 in there."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}"
                        "/children").read_text().split()
        return int(children[0])

    def kill(self) -> None:
        """Everything on the node is gone at once, as with a lost machine."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """A stop in good order, as `docker stop`; the agent's exit code."""
        if self.process.poll() is None:
            os.kill(self.inner_pid(), number)
        return self.process.wait(timeout=30)

    def output(self) -> str:
        return self.log.read_text()


class Nodes:
    """Some nodes and the directory they share with the test."""

    def __init__(self, count: int, **options) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="ipmpi-nodes-")
        self.path = Path(self.directory.name)
        self.path.chmod(0o711)
        self.secret = self.path / "secret"
        self.secret.write_bytes(os.urandom(24).hex().encode())
        self.secret.chmod(0o600)
        options.setdefault("secret", self.secret)
        self.options = options
        self.list: list[Node] = []
        for index in range(count):
            self.add(f"h{index}")

    def add(self, name: str, **options) -> Node:
        node = Node(self.path, name, **{**self.options, **options})
        self.list.append(node)
        return node

    def hosts(self, program: list[str], *options: str,
              nodes: list[Node] | None = None, secret: Path | None = None,
              job: str = "test") -> "Job":
        """`ipmpi hosts` over these nodes."""
        command = [str(IPMPI), "hosts", f"--job={job}",
                   f"--secret-file={secret or self.secret}"]
        for node in nodes or self.list:
            command.append(f"--host={node.address}")
        return Job([*command, *options, *program], self.path)

    def __enter__(self) -> "Nodes":
        return self

    def __exit__(self, *_) -> None:
        for node in self.list:
            node.kill()
        self.directory.cleanup()


class Job:
    """A running launcher, its output gathered in a file."""

    count = 0

    def __init__(self, command: list[str], directory: Path,
                 environment: dict[str, str] | None = None) -> None:
        Job.count += 1
        self.log = directory / f"job{Job.count}.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
                preexec_fn=die_with_parent,
                env={**os.environ, "HOME": str(directory),
                     **(environment or {})})

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_text(self, text: str, seconds: float = 60.0) -> None:
        def there() -> bool:
            if text in self.output():
                return True
            if self.process.poll() is not None:
                raise RuntimeError(f"ended with {self.process.returncode} "
                                   f"without {text!r}:\n{self.output()}")
            return False
        try:
            wait_for(there, seconds, repr(text))
        except TimeoutError as error:
            raise TimeoutError(f"{error}:\n{self.output()}") from None

    def wait(self, seconds: float = 60.0) -> int:
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"still there:\n{self.output()}") from None

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
