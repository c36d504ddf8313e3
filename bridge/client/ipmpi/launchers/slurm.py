"""Launchers for Slurm: `Cluster(controller="ipmpi-slurm",
engines="ipmpi-slurm", n=63)`.

The controller launcher submits one batch job with all ranks, so n must be
known when it starts: from `n=` of the Cluster, or from `nodes` and
`tasks_per_node`. An engine set takes the job's engines that no other set has.
No key leaves the connection files: `ipmpi submit` hands none to the job.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading

from ipyparallel.cluster.launcher import LauncherError, NotRunning
from traitlets import Float, Integer, List, Unicode, default

from ..hub import HubError, HubTimeout, local_program
from .base import SECRETS, JobController, on_loop, run_blocking
from .engines import IpmpiEngineSetLauncher

ASK_SECONDS = 30.0


def _slurm(*command: str) -> str:
    """What one of Slurm's programs prints. LauncherError."""
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=ASK_SECONDS, check=True).stdout.strip()
    except FileNotFoundError:
        raise LauncherError(f"{command[0]} is not in PATH: is this a node of "
                            "a Slurm cluster?") from None
    except subprocess.TimeoutExpired:
        raise LauncherError(f"{command[0]} does not answer") from None
    except subprocess.CalledProcessError as error:
        words = (error.stderr or error.stdout).strip()
        raise LauncherError(f"{command[0]}: {words}") from None


def job_state(job_id: str) -> str:
    """PENDING, RUNNING, ..; "" once Slurm has forgotten the job."""
    try:
        return _slurm("squeue", "-h", "-j", job_id, "-o", "%T")
    except LauncherError as error:
        if "Invalid job id" in str(error):
            return ""
        raise


ENDED = {"", "CANCELLED", "COMPLETED", "FAILED", "TIMEOUT", "NODE_FAIL",
         "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY", "PREEMPTED"}


class IpmpiSlurmControllerLauncher(JobController):
    """Submits a cluster as one batch job."""

    name = Unicode("ipmpi-slurm")
    entrypoint_name = "ipmpi-slurm"

    submit_cmd = List(Unicode(), config=True, help="""
        The program that submits: `ipmpi`, found in $IPMPI_BIN or PATH.""")
    nodes = Integer(0, config=True, help="Nodes; 0: as Slurm likes.")
    tasks_per_node = Integer(0, config=True, help="""
        Ranks on each node; one rank of all is the controller.""")
    time = Unicode(config=True, help="Time limit, as sbatch -t has it.")
    partition = Unicode(config=True, help="Partition.")
    account = Unicode(config=True, help="Account.")
    sbatch_args = List(Unicode(), config=True, help="""
        More options of sbatch, each in one word: "--exclusive".""")
    poll_seconds = Float(3.0, config=True, help="""
        How often Slurm is asked whether the job still is there.""")
    # a job may wait in its queue for hours
    connection_info_timeout = Float(-1.0, config=True)

    job_id = Unicode().tag(to_dict=True)
    output_file = Unicode().tag(to_dict=True)

    _thread = None

    @default("submit_cmd")
    def _default_submit_cmd(self) -> list[str]:
        return [local_program("ipmpi")]

    @default("output_file")
    def _default_output_file(self) -> str:
        log_dir = os.path.join(self.profile_dir, "log")
        os.makedirs(log_dir, exist_ok=True)
        return os.path.join(log_dir, f"{self.identifier}.log")

    def find_args(self) -> list[str]:
        args = [*self.submit_cmd, "submit", "slurm", *self.cluster_args,
                f"--output={self.output_file}", *self._size()]
        for name in ("time", "partition", "account"):
            if getattr(self, name):
                args.append(f"--{name}={getattr(self, name)}")
        args += [f"--sbatch={arg}" for arg in self.sbatch_args]
        return [*args, "--", *self.controller_args]

    def _size(self) -> list[str]:
        size = []
        if self.nodes:
            size.append(f"--nodes={self.nodes}")
        if self.tasks_per_node:
            size.append(f"--tasks-per-node={self.tasks_per_node}")
        n = getattr(self.parent, "n", None)
        if self.tasks_per_node:
            return size
        if not n:
            raise LauncherError(
                "how large a job? Give Cluster(n=...), or nodes and "
                "tasks_per_node of IpmpiSlurmControllerLauncher")
        return [*size, f"--ntasks={n + 1}"]

    async def start(self):
        """Submits the job; it may wait in its queue."""
        self.environment = self._clean_environment()
        answer = await run_blocking(self._submit)
        found = re.search(r"submitted job (\d+)", answer)
        if found is None:
            raise LauncherError(f"ipmpi submit said: {answer}")
        self.job_id = found.group(1)
        self.notify_start(self.job_id)
        self._watch()

    def _submit(self) -> str:
        env = {**os.environ, **self.environment}
        for secret in SECRETS:
            env.pop(secret, None)
        done = subprocess.run(self.args, stdin=subprocess.DEVNULL, env=env,
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise LauncherError(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    @classmethod
    def from_dict(cls, d, **kwargs):
        """A job that still is there. NotRunning."""
        self = super().from_dict(d, **kwargs)
        try:
            state = job_state(self.job_id)
        except LauncherError as error:
            raise NotRunning(str(error)) from None
        if state in ENDED:
            raise NotRunning(f"job {self.job_id} is {state or 'gone'}")
        self._watch()
        return self

    def _watch(self) -> None:
        loop = self.loop
        self._stop_watching = threading.Event()
        self._thread = threading.Thread(
            target=self._follow, args=(loop,), daemon=True,
            name=f"slurm job {self.job_id}")
        self._thread.start()

    def _follow(self, loop) -> None:
        state = "RUNNING"
        while not self._stop_watching.wait(self.poll_seconds):
            try:
                state = job_state(self.job_id)
            except LauncherError:
                continue  # the controller of Slurm may be away for a while
            if state in ENDED:
                break
        good = state in ("", "COMPLETED") or self._stop_watching.is_set()
        on_loop(loop, self.notify_stop, {
            "exit_code": 0 if good else 1, "pid": self.job_id,
            "identifier": self.identifier, "state": state})

    def ended(self) -> bool:
        """Whether the job is over."""
        return self.state == "after" or (
            self._thread is not None and not self._thread.is_alive())

    def poll(self):
        """None while the job waits or runs, else its exit status."""
        if not self.ended():
            return None
        return (self.stop_data or {}).get("exit_code", "unknown")

    def signal(self, sig) -> None:
        """Sends a signal to the job's ranks."""
        if self.state == "running":
            _slurm("scancel", f"--signal={int(sig)}", self.job_id)

    async def stop(self):
        """Ends the job: the cluster leaves, then Slurm is told."""
        await run_blocking(self._end_job)
        if self.state == "running":
            self.notify_stop({"exit_code": 0, "pid": self.job_id,
                              "identifier": self.identifier})

    def _end_job(self) -> None:
        try:
            with self._hub() as hub:
                hub.ask("shutdown_request", {"announce": False}, seconds=3)
        except (OSError, ValueError, HubError, HubTimeout):
            pass
        try:
            _slurm("scancel", self.job_id)
        except LauncherError as error:
            self.log.warning("%s", error)
        self._stop_watching.set()

    async def join(self, timeout=None):
        """Waits for the job's end. TimeoutError."""
        if self._thread is not None:
            await run_blocking(self._thread.join, timeout)
            if self._thread.is_alive():
                raise TimeoutError(f"job {self.job_id} is still there")

    def get_output(self, remove: bool = False) -> str:
        """The job's log."""
        try:
            with open(self.output_file, errors="replace") as file:
                self._words = file.read()
            if remove:
                os.remove(self.output_file)
        except OSError:
            pass
        return getattr(self, "_words", "")

    def provide_engines(self, n: int, environment: dict[str, str],
                        args: list[str]) -> list[int]:
        """See JobController."""
        with self._hub() as hub:
            return self._take(hub, n, environment, args)


class IpmpiSlurmEngineSetLauncher(IpmpiEngineSetLauncher):
    """Engines inside the batch job of the controller launcher."""

    name = Unicode("ipmpi-slurm-engines")
    entrypoint_name = "ipmpi-slurm"
