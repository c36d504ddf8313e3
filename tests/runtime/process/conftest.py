"""Jobs of nannies without mpirun: each nanny gets the environment that mpirun
would give it, in a process group of its own."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
BUILD = Path(os.environ.get("IPMPI_BUILD", HERE.parents[2] / "build"))
PACKAGE = HERE.parents[2] / "runtime" / "python" / "ipmpi_engine"
DEADLINE_S = 30.0


def wait_for(condition, what, seconds=DEADLINE_S):
    """Waits until `condition()` is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.01)


def is_alive(pid):
    """Is there such a process, other than as a zombie?"""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def interpreters():
    """Pythons of this machine, from 3.11 on, with a shared library."""
    found = [Path("/usr/bin/python3")]
    for root in (Path.home() / ".pyenv", Path("/usr/local")):
        found += sorted(root.glob("versions/*/bin/python3"))
        found += sorted(root.glob("bin/python3.1[1-9]"))
    return [python for python in dict.fromkeys(found)
            if list(python.parent.parent.glob("lib/**/libpython3.1[1-9]*.so*"))
            or python == Path("/usr/bin/python3")]


def make_installation(where):
    """ipmpi-engine beside a stand-in controller, module and package."""
    where.mkdir()
    for name in ("ipmpi-controller", "ipmpi_embed.so"):
        shutil.copy(BUILD / "tests" / "standin" / name, where / name)
    shutil.copy(BUILD / "ipmpi-engine", where / "ipmpi-engine")
    shutil.copytree(HERE / "standin" / "ipmpi_engine",
                    where / "python" / "ipmpi_engine",
                    ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PACKAGE / "zygote.py", where / "python" / "ipmpi_engine")
    return where


_LAUNCHER = """
import json, subprocess, sys
nannies = [subprocess.Popen(sys.argv[1:], env=env, stderr=open(path, "wb"),
                            process_group=0)
           for path, env in json.load(sys.stdin)]
for nanny in nannies:
    nanny.wait()
"""


def install(where):
    """An installed tree, moved, with stand-ins in the places of the parts."""
    subprocess.run(["cmake", "--install", BUILD, "--prefix", where / "first"],
                   check=True, stdout=subprocess.DEVNULL)
    tree = (where / "first").rename(where / "moved to")
    parts = make_installation(where / "parts")
    for part in ("ipmpi-controller", "ipmpi_embed.so"):
        place, = tree.rglob(part)
        shutil.copy(parts / part, place)
    package, = tree.rglob("ipmpi_engine")
    shutil.rmtree(package)
    shutil.copytree(parts / "python" / "ipmpi_engine", package)
    return tree / "bin"


class Job:
    """`size` nannies on one host. Use as a context: nothing outlives it."""

    def __init__(self, installation, where, size, options=(), env=None,
                 before=None):
        self.where = where
        self.size = size
        self._program = installation / "ipmpi-engine"
        self._options = options
        self._env = env or {}
        self._before = before
        self.nannies = {}
        self.launcher = None

    def start(self, *ranks):
        """Starts these nannies; without arguments, all."""
        for rank in ranks or range(self.size):
            self.nannies[rank] = self._start(rank)

    def start_below_a_launcher(self):
        """Starts all as children of a process that can be killed."""
        self.launcher = subprocess.Popen(
            [sys.executable, "-c", _LAUNCHER, str(self._program),
             *self._options], stdin=subprocess.PIPE, text=True)
        json.dump([(str(self.where / f"err.{rank}"), self._environment(rank))
                   for rank in range(self.size)], self.launcher.stdin)
        self.launcher.stdin.close()

    def _environment(self, rank):
        env = {name: value for name, value in os.environ.items()
               if not name.startswith(("OMPI_", "PMIX_", "SLURM_", "IPP_",
                                       "VIRTUAL_ENV", "CONDA_"))}
        env |= {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
                "OMPI_COMM_WORLD_RANK": str(rank),
                "OMPI_COMM_WORLD_SIZE": str(self.size),
                "OMPI_COMM_WORLD_LOCAL_RANK": str(rank),
                "OMPI_COMM_WORLD_LOCAL_SIZE": str(self.size),
                "PMIX_NAMESPACE": f"test-{os.getpid()}-{self.where.name}",
                "STANDIN_DIR": str(self.where),
                "IPYTHONDIR": str(self.where / "ipython")}
        for key, value in self._env.items():
            if value is None:
                env.pop(key, None)
            else:
                env[key] = str(value)
        return env

    def _start(self, rank):
        out = open(self.where / f"out.{rank}", "wb")
        err = open(self.where / f"err.{rank}", "wb")
        with out, err:
            return subprocess.Popen(
                [self._program, *self._options],
                env=self._environment(rank), stdout=out,
                stderr=err, stdin=subprocess.DEVNULL, process_group=0,
                preexec_fn=self._before)

    def facts(self, rank):
        """What the engine found; waits for it."""
        path = self.where / f"rank.{rank}"
        nanny = self.nannies.get(rank)
        wait_for(lambda: path.exists() or nanny and nanny.poll() is not None,
                 f"{path}: {self.errors()}")
        return json.loads(path.read_text())

    def controller(self):
        """The controller's pid; waits for it."""
        path = self.where / "controller.pid"
        wait_for(path.exists, f"{path}: {self.errors()}")
        return int(path.read_text())

    def zygote(self):
        """The zygote's pid: the parent of engine 1."""
        return self.facts(1)["parent"]

    def notices(self):
        """[(rank, pid, wait status, host)] that the controller heard."""
        path = self.where / "notices"
        if not path.exists():
            return []
        rows = [line.split() for line in path.read_text().splitlines()]
        return [(int(rank), int(pid), int(status), host)
                for rank, pid, status, host, *_ in rows]

    def accounts(self):
        """[(flags, how many works were begun, the first one's ref)] of the
        notices."""
        rows = [line.split()[4:] for line in
                (self.where / "notices").read_text().splitlines()]
        return [(int(flags), int(n), int(ref, 16)) for flags, n, ref in rows]

    def ask_to_leave(self, *ranks, code=0):
        """Has stand-ins leave in good order; without arguments, all."""
        for rank in ranks or range(self.size):
            name = "leave" if rank == 0 else f"leave.{rank}"
            new = self.where / f"{name}.new"
            new.write_text(str(code))
            new.rename(self.where / name)

    def codes(self, *ranks, seconds=DEADLINE_S):
        """Exit codes of these nannies, or of all; waits for them."""
        end = time.monotonic() + seconds
        return [self.nannies[rank].wait(max(0.01, end - time.monotonic()))
                for rank in ranks or sorted(self.nannies)]

    def errors(self):
        """What all nannies and ranks wrote to stderr."""
        return "".join(path.read_text(errors="replace")
                       for path in sorted(self.where.glob("err.*")))

    def processes(self):
        """Pids of everything that belongs to this job."""
        mark = f"STANDIN_DIR={self.where}\0".encode()
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                environment = Path(f"/proc/{entry}/environ").read_bytes()
            except OSError:
                continue
            if mark in environment + b"\0" and is_alive(int(entry)):
                found.append(int(entry))
        return found

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        left = self.processes()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for nanny in self.nannies.values():
            nanny.wait(10)
        if self.launcher is not None:
            self.launcher.kill()
            self.launcher.wait(10)
        if exc[0] is not None:
            print(self.errors(), file=sys.stderr)


@pytest.fixture(scope="session")
def installation(tmp_path_factory):
    """A directory with ipmpi-engine and its stand-ins."""
    return make_installation(tmp_path_factory.mktemp("ipmpi") / "bin")


@pytest.fixture
def make_job(installation, tmp_path):
    """make_job(size, *options, env={}, before=None) -> Job, not started."""
    jobs = []

    def make(size, *options, env=None, before=None, program_dir=installation):
        where = tmp_path / f"job{len(jobs)}"
        where.mkdir()
        jobs.append(Job(program_dir, where, size, options, env, before))
        return jobs[-1]

    return make
