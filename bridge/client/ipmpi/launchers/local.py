"""A cluster on this machine."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import threading

import psutil
from ipyparallel.cluster.launcher import (
    LauncherError,
    LocalProcessLauncher,
    ProcessStateError,
)
from traitlets import Integer, List, Unicode, default

from ..hub import local_program
from .base import SECRETS, JobController, on_loop, run_blocking


def _wait_gone(process: psutil.Process) -> None:
    """Waits for a process that is not our child. One that nobody has reaped
    counts as gone: in a container that can last."""
    while True:
        try:
            process.wait(timeout=0.2)
            return
        except psutil.TimeoutExpired:
            pass
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return


class IpmpiControllerLauncher(JobController, LocalProcessLauncher):
    """Starts the MPI job of a cluster on this machine, by `ipmpi start`."""

    name = Unicode("ipmpi")

    controller_cmd = List(Unicode(), config=True, help="""
        The program that starts the job: `ipmpi`, found in $IPMPI_BIN or
        PATH.""")

    engines = Integer(0, config=True, help="""
        Engines that are there from the start. Engine sets bring theirs, so
        the default is none.""")

    python = Unicode(sys.executable, config=True, help="""
        Interpreter of the engines; the one that runs this launcher unless
        told otherwise.""")

    _popen_process = None
    _stopping = False

    @default("controller_cmd")
    def _default_controller_cmd(self) -> list[str]:
        return [local_program("ipmpi")]

    def find_args(self) -> list[str]:
        args = [*self.controller_cmd, "start", "-n", str(self.engines),
                *self.cluster_args, "--"]
        given = list(self.controller_args)
        if not any(arg.split("=")[0] == "--python" for arg in given):
            args.append(f"--python={self.python}")
        return args + given

    # -- life --------------------------------------------------------------

    def start(self):
        """Starts the job; its output goes to `output_file`."""
        if self.state != "before":
            raise ProcessStateError(f"already started: {self.state}")
        self._refuse_second()
        self._remove_files()
        self.environment = self._clean_environment()
        self._launch()
        self.notify_start(self.pid)

    def _refuse_second(self) -> None:
        """Old files must go, but not those of a cluster that lives."""
        holder = self._holder()
        if holder is not None:
            raise LauncherError(
                f"a cluster with this id runs already ({holder}); stop it "
                "with `ipmpi stop`, or choose another cluster_id")

    def _holder(self) -> str | None:
        """HOST PID of the rank 0 that has this cluster's name now."""
        tail = f"-{self.cluster_id}" if self.cluster_id else ""
        path = os.path.join(self.profile_dir, "security",
                            f".ipmpi{tail}.lock")
        try:
            with open(path) as file:
                holder = file.read().strip()
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return holder
        except OSError:
            pass
        return None

    def _launch(self) -> None:
        env = {**os.environ, **self.get_environment()}
        for secret in SECRETS:
            env.pop(secret, None)
        with open(self.output_file, "ab") as output:
            try:
                process = subprocess.Popen(
                    self.args, stdout=output, stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL, env=env, cwd=self.work_dir,
                    start_new_session=True)
            except OSError as error:
                raise LauncherError(
                    f"cannot run {self.args[0]}: {error.strerror}. Is ipmpi "
                    "installed, and in PATH or in $IPMPI_BIN?") from error
        self._popen_process = process
        self.pid = process.pid
        self.process = psutil.Process(process.pid)
        self.state = "running"
        self._output = None
        self._start_waiting()

    def get_environment(self) -> dict[str, str]:
        """What is added to the job's environment."""
        return self._clean_environment()

    def _start_waiting(self) -> None:
        loop = self.loop
        self._stop_waiting = threading.Event()
        self._wait_thread = threading.Thread(
            target=self._wait_for, args=(self.process, self._popen_process,
                                         loop),
            name=f"wait(pid={self.pid})", daemon=True)
        self._wait_thread.start()

    def _wait_for(self, process, popen, loop) -> None:
        code = popen.wait() if popen is not None else _wait_gone(process)
        data = {"exit_code": code, "pid": process.pid,
                "identifier": self.identifier}
        on_loop(loop, self.notify_stop, data)

    def notify_stop(self, data):
        """The job has ended: its files go. An end that was asked for is a
        good one, whatever mpirun makes of it."""
        mine = self._stopping or self._popen_process is not None
        if self.state != "after" and mine:
            self._remove_files()
        if self._stopping:
            data = {**data, "exit_code": 0}
        return super().notify_stop(data)

    def _remove_files(self) -> None:
        for path in self.connection_files.values():
            try:
                os.remove(path)
            except FileNotFoundError:
                pass

    def ended(self) -> bool:
        """Whether the job is over, whatever the event loop has heard."""
        if self.state == "after":
            return True
        if self.process is None:
            return False
        thread = self._wait_thread
        return thread is None or not thread.is_alive()

    def poll(self):
        """None while the job runs, else its exit status."""
        if not self.ended():
            return None
        if self.state == "after":
            return (self.stop_data or {}).get("exit_code", "unknown")
        if self._popen_process is not None:
            return self._popen_process.returncode
        return "unknown"

    async def stop(self):
        """Ends the job: TERM, and KILL if that does not help."""
        self._stopping = True
        if await run_blocking(self._end_process):
            self._remove_files()
        if self.state == "running":
            self.notify_stop({"exit_code": self.poll(), "pid": self.pid,
                              "identifier": self.identifier})

    def _end_process(self) -> bool:
        thread = self._wait_thread
        if thread is None:
            return False
        for tell, seconds in (
                (self._tell_rank0, self.stop_seconds_until_kill),
                (self.process.terminate, self.stop_seconds_until_kill),
                (self.process.kill, self.stop_timeout)):
            try:
                if tell() is False:
                    continue
            except psutil.NoSuchProcess:
                pass
            thread.join(timeout=seconds)
            if not thread.is_alive():
                return True
            self.log.warning("ipmpi's job (pid %s) did not end in %s s",
                             self.pid, seconds)
        raise TimeoutError(f"process {self.pid} does not end")

    def _tell_rank0(self) -> bool:
        """TERM to rank 0, which ends the job at once where mpirun would pause
        for a second. False: it is not on this machine."""
        host, _, pid = (self._holder() or "").partition(" ")
        if host != socket.gethostname():
            return False
        rank0 = psutil.Process(int(pid))
        if not rank0.name().startswith("ipmpi"):
            return False
        rank0.terminate()
        return True

    # -- engines -----------------------------------------------------------

    def provide_engines(self, n: int, environment: dict[str, str],
                        args: list[str]) -> list[int]:
        """See JobController."""
        with self._hub() as hub:
            return self._spawn(hub, n, environment, args)
