"""One real cluster, started and stopped as a user would.

Kind "ipmpi" is `mpirun -np N+1 ipmpi-engine`; kind "upstream" is
ipyparallel's own controller and N engine processes, which shows that the
tests judge right and serves the benchmarks as the other side. Each cluster
has a temporary directory of its own (IPYTHONDIR, TMPDIR, log), so any number
of them share a machine. Standard library only: both Pythons import this.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

from . import places, processes

START_SECONDS = 90.0  # a loaded machine with two cores, 64 ranks
STOP_SECONDS = 5.0    # the promise


class ClusterError(RuntimeError):
    """The cluster did not do what it should; the text holds its log."""


class Cluster:
    """A cluster of `engines` engines; a context manager.

    python:     interpreter of the engines (and of upstream's controller)
    cluster_id: as in Client(cluster_id=...)
    args:       more arguments for ipmpi-engine or upstream's controller
    engine_args: the same for upstream's engines; ipmpi-engine is both
    env:        added to the environment; None as value removes a name
    ipython_dir, profile: where the profile is; temporary and "default"
    cwd, wrap:  directory, and a command (as taskset) that starts it all
    """

    def __init__(self, engines: int, *, kind: str = "ipmpi",
                 python: Path | str | None = None, cluster_id: str = "",
                 args: tuple[str, ...] = (),
                 engine_args: tuple[str, ...] = (), env: dict | None = None,
                 ipython_dir: Path | str | None = None,
                 profile: str = "default", cwd: Path | str | None = None,
                 wrap: tuple[str, ...] = ()) -> None:
        self.engines = engines
        self.kind = kind
        self.python = Path(python or places.here_python())
        self.cluster_id = cluster_id
        self.args = tuple(args)
        self.engine_args = tuple(engine_args)
        self.cwd = cwd
        self.wrap = tuple(wrap)
        self.root = Path(tempfile.mkdtemp(prefix="ipmpi-"))
        self.ipython_dir = Path(ipython_dir or self.root / "ipython")
        self.profile = profile
        self.profile_dir = self.ipython_dir / f"profile_{profile}"
        self.log_path = self.root / "log"
        self.mark = uuid.uuid4().hex
        self.tmp = self.root / "tmp"
        self.tmp.mkdir()
        self.env = places.environment_for(self.python)
        self.env.update({"IPYTHONDIR": str(self.ipython_dir),
                         "TMPDIR": str(self.tmp),
                         # dask never removes its lock files
                         "DASK_TEMPORARY_DIRECTORY": str(self.root / "dask"),
                         processes.MARK: self.mark})
        for name, value in (env or {}).items():
            if value is None:
                self.env.pop(name, None)
            else:
                self.env[name] = value
        self.process: subprocess.Popen | None = None
        self.extra: list[subprocess.Popen] = []
        self.shared_memory: set[str] = set()
        self.ports: set[int] = set()

    # -- where things are -------------------------------------------------

    def file(self, side: str) -> Path:
        """The connection file of "client" or "engine"."""
        name = "-".join(p for p in ("ipcontroller", self.cluster_id, side)
                        if p)
        return self.profile_dir / "security" / f"{name}.json"

    @property
    def connection_file(self) -> Path:
        return self.file("client")

    def info(self) -> dict:
        """The client's connection file, parsed."""
        return json.loads(self.connection_file.read_text())

    def log(self) -> str:
        """Everything that the cluster has printed so far."""
        try:
            return self.log_path.read_text(errors="replace")
        except OSError:
            return ""

    # -- start ------------------------------------------------------------

    def command(self) -> list[str]:
        """The command that starts the cluster (upstream: its controller)."""
        if self.kind == "ipmpi":
            where = []
            if self.profile != "default":
                where.append(f"--profile={self.profile}")
            if self.cluster_id:
                where.append(f"--cluster-id={self.cluster_id}")
            return [str(places.MPI_RUN), str(self.engines + 1),
                    str(places.ENGINE), *where, *self.args,
                    *self.engine_args]
        return [str(self.python), "-m", "ipyparallel.controller",
                *self._upstream_place(), *self.args]

    def _upstream_place(self) -> list[str]:
        return [f"--profile-dir={self.profile_dir}",
                f"--cluster-id={self.cluster_id}"]

    def launch(self) -> "Cluster":
        """Starts the processes and returns at once."""
        if self.kind == "upstream":
            self.profile_dir.mkdir(parents=True, exist_ok=True)
        self.process = self._popen(self.command())
        return self

    def _popen(self, command: list[str]) -> subprocess.Popen:
        with open(self.log_path, "ab") as log:
            return subprocess.Popen(
                [*self.wrap, *command], env=self.env, cwd=self.cwd,
                stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True)

    def start(self, seconds: float = START_SECONDS) -> "Cluster":
        """Starts the cluster and waits until it says that it is ready."""
        self.launch()
        try:
            self.wait_ready(seconds)
        except BaseException:
            self.destroy()
            raise
        return self

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Waits for both connection files and for all engines."""
        end = time.monotonic() + seconds
        self._until(self._has_files, end, "no connection files")
        if self.kind == "upstream":
            if self.engines:
                self.add_engines(self.engines, end)
        else:
            self._until(lambda: self.ready_line() is not None, end,
                        "no ready line")
        self.note()

    def add_engines(self, count: int, end: float | None = None) -> list:
        """Adds engines to the living cluster; returns their ids (ipmpi) or
        processes (upstream)."""
        if self.kind == "ipmpi":
            from .spawn import add_engines  # needs pyzmq

            return add_engines(self.file("client"), count)
        end = end or time.monotonic() + START_SECONDS
        before = self.log().count("Completed registration")
        command = [str(self.python), "-m", "ipyparallel.engine",
                   *self._upstream_place(), *self.engine_args]
        made = [self._popen(command) for _ in range(count)]
        self.extra += made
        self._until(lambda: self.log().count("Completed registration")
                    >= before + count, end, "engines did not register")
        return made

    def _has_files(self) -> bool:
        return self.file("client").exists() and self.file("engine").exists()

    def ready_line(self) -> str | None:
        """The line that says that the cluster is ready."""
        found = re.search(r"^.*\bready\b.*$", self.log(), re.M)
        return found.group(0) if found else None

    def _until(self, condition, end: float, what: str) -> None:
        while not condition():
            if self.process.poll() is not None:
                raise ClusterError(
                    f"{what}: exit status {self.process.returncode}\n"
                    f"{self.log()}")
            if time.monotonic() > end:
                raise ClusterError(f"{what} in time\n{self.log()}")
            time.sleep(0.01)

    # -- stop -------------------------------------------------------------

    def pids(self) -> list[int]:
        """All processes of this cluster, mpirun included."""
        return processes.marked(self.mark)

    def controller(self) -> int:
        """The pid of rank 0 (of the hub, in upstream's cluster)."""
        for pid in self.pids():
            if self.kind == "ipmpi":
                found = processes.program(pid) == "ipmpi-controller"
            else:
                found = "ipyparallel.controller" in processes.command(pid)
            if found:
                return pid
        raise ClusterError(f"no controller\n{self.log()}")

    def run_to_end(self, seconds: float = 30.0) -> int:
        """For a start that must fail: starts, waits, returns the status."""
        self.launch()
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise ClusterError(f"did not end\n{self.log()}") from None

    def note(self) -> None:
        """Remembers what must be gone after the end."""
        self.shared_memory |= processes.shared_memory(self.pids())
        try:
            self.ports |= {v for k, v in self.info().items()
                           if isinstance(v, int) and v > 1024}
        except (OSError, ValueError):
            pass

    def send_signal(self, number: int) -> None:
        """Sends a signal to mpirun, or to all of upstream's processes."""
        for process in (self.process, *self.extra):
            if process.poll() is None:
                process.send_signal(number)

    def wait_end(self, seconds: float = STOP_SECONDS) -> float:
        """Waits until no process is left; returns how long it took."""
        start = time.monotonic()
        gone = processes.wait_gone(self.mark, seconds)
        for process in (self.process, *self.extra):
            if process.poll() is None:
                try:
                    process.wait(timeout=1)
                except subprocess.TimeoutExpired:
                    gone = False
        took = time.monotonic() - start
        if not gone:
            raise ClusterError(f"still there after {took:.1f} s: "
                               f"{self.leftovers()}\n{self.log()}")
        return took

    def stop(self, seconds: float = STOP_SECONDS,
             number: int = signal.SIGTERM) -> float:
        """Ends the cluster by a signal and checks that it left nothing."""
        self.note()
        self.send_signal(number)
        took = self.wait_end(seconds)
        self.check_nothing_left()
        return took

    def leftovers(self) -> list[str]:
        """What is still there and should not be after the end."""
        left = [f"process {pid}: {processes.command(pid)}"
                for pid in self.pids()]
        left += [f"shared memory {path}" for path in
                 sorted(self.shared_memory) if os.path.exists(path)]
        left += [f"temporary file {path}" for path in self.tmp.rglob("*")
                 if (not path.is_dir() or path.is_symlink())
                 and "dask-" not in str(path)]  # dask leaves its locks
        left += [f"file {path}" for path in
                 (self.profile_dir / "security").glob("*")]
        left += [f"port {port}" for port in sorted(self.ports)
                 if _listens(port) and not self._is_another_s(port)]
        return left

    def _is_another_s(self, port: int) -> bool:
        """A port that we had may be given to another cluster at once."""
        pids = processes.listeners(port)
        return bool(pids) and all(processes.of_another(pid, self.mark)
                                  for pid in pids)

    def check_nothing_left(self) -> None:
        """Raises ClusterError if the ended cluster left something."""
        if self.kind == "ipmpi" and (left := self.leftovers()):
            raise ClusterError("left behind: " + "; ".join(left) +
                               "\n" + self.log())

    def destroy(self) -> None:
        """Ends everything by force and removes the directory."""
        self.note()
        processes.kill_all(self.mark)
        for process in (self.process, *self.extra):
            if process is not None:
                process.wait(timeout=10)
        for path in self.shared_memory:
            if os.path.exists(path):
                os.unlink(path)
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self) -> "Cluster":
        return self if self.process else self.start()

    def __exit__(self, *exc) -> None:
        try:
            if exc[0] is None and self.process.poll() is None:
                self.stop(seconds=STOP_SECONDS if self.kind == "ipmpi"
                          else 20)
        finally:
            self.destroy()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A port of the loopback interface that nobody had a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
