"""Launchers for ipyparallel: `ipp.Cluster(controller="ipmpi", engines="ipmpi")`.

A cluster is one MPI job. The controller launcher starts it, at first with
rank 0 alone; an engine set asks the controller to spawn engines into the job
and watches them through the cluster's own protocol, since they have no
process of their own that a launcher could hold. Works with ipyparallel 7.1 to 9.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal as signals
import subprocess
import sys
import threading
import time

import psutil
from ipyparallel.cluster.launcher import (
    BaseLauncher,
    ControllerLauncher,
    EngineLauncher,
    LauncherError,
    LocalProcessLauncher,
    NotRunning,
    ProcessStateError,
)
from traitlets import Dict, Float, Integer, List, Unicode, default

from .hub import (
    Hub,
    HubError,
    HubTimeout,
    local_program,
)

#: Never handed on: the whole connection file with its key, which upstream
#: puts into the environment of engines. Ours get the key by MPI.
SECRETS = ("IPP_CONNECTION_INFO",)

SPAWN_SECONDS = 150.0  # the controller itself gives up earlier


def on_loop(loop, function, *args) -> None:
    """Calls a function on an event loop, or here and now if that loop does
    not run: it ended with the synchronous call that it was made for."""
    if loop.asyncio_loop.is_running():
        loop.add_callback(function, *args)
    else:
        function(*args)


def run_blocking(function, *args):
    """A future of a function that may block, on the running loop."""
    return asyncio.get_running_loop().run_in_executor(None, function, *args)


class ClusterFiles(BaseLauncher):
    """What all launchers know about the cluster's place on disk."""

    entrypoint_name = "ipmpi"

    environment = Dict(
        config=True, help="Environment variables for the engines.")

    @property
    def cluster_args(self) -> list[str]:
        # As arguments also where 8.0 has variables: mpirun does not hand
        # the environment to other nodes.
        return [f"--profile-dir={self.profile_dir}",
                f"--cluster-id={self.cluster_id}"]

    def _clean_environment(self) -> dict[str, str]:
        return {name: value for name, value in self.environment.items()
                if name not in SECRETS}

    def _info(self) -> dict:
        """The client connection file. OSError, ValueError."""
        with open(self.connection_files["client"]) as file:
            return json.load(file)

    def _hub(self) -> Hub:
        return Hub(self._info())


class JobController(ClusterFiles, ControllerLauncher):
    """A controller whose job also holds the engines."""

    def ended(self) -> bool:
        """Whether the job is over, whatever the event loop has heard."""
        raise NotImplementedError

    def provide_engines(self, n: int,
                        environment: dict[str, str]) -> list[int]:
        """Brings n engines; their ids. Blocks. LauncherError."""
        raise NotImplementedError

    async def get_connection_info(self, timeout=None):
        """Both connection files; if the job died, its own words."""
        try:
            if timeout is None:
                return await super().get_connection_info()
            return await super().get_connection_info(timeout=timeout)
        except RuntimeError as error:
            raise LauncherError(f"{error}\n{self.last_words()}") from None

    def last_words(self) -> str:
        """The end of the job's output."""
        lines = self.get_output().splitlines()
        return "\n".join(lines[-self.output_limit:])

    def _spawn(self, hub: Hub, n: int,
               environment: dict[str, str]) -> list[int]:
        """More engines, by the controller; returns when they are ready."""
        try:
            answer = hub.ask("ipmpi_spawn_request",
                             {"n": n, "environment": environment},
                             seconds=SPAWN_SECONDS)
        except (HubError, HubTimeout) as error:
            raise LauncherError(f"no engines: {error}") from None
        return [int(i) for i in answer["engine_ids"]]


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
        tail = f"-{self.cluster_id}" if self.cluster_id else ""
        path = os.path.join(self.profile_dir, "security",
                            f".ipmpi{tail}.lock")
        try:
            with open(path) as file:
                holder = file.read().strip()
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LauncherError(
                f"a cluster with this id runs already ({holder}); stop it "
                "with `ipmpi stop`, or choose another cluster_id") from None
        except OSError:
            pass

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
        code = popen.wait() if popen is not None else process.wait()
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
        for number, seconds in ((signals.SIGTERM,
                                 self.stop_seconds_until_kill),
                                (signals.SIGKILL, self.stop_timeout)):
            try:
                self.process.send_signal(number)
            except psutil.NoSuchProcess:
                pass
            thread.join(timeout=seconds)
            if not thread.is_alive():
                return True
            self.log.warning("ipmpi's job (pid %s) did not end in %s s",
                             self.pid, seconds)
        raise TimeoutError(f"process {self.pid} does not end")

    # -- engines -----------------------------------------------------------

    def provide_engines(self, n: int,
                        environment: dict[str, str]) -> list[int]:
        """See JobController."""
        with self._hub() as hub:
            return self._spawn(hub, n, environment)


class IpmpiEngineSetLauncher(ClusterFiles, EngineLauncher):
    """A set of engines inside the job of a controller launcher."""

    name = Unicode("ipmpi-engines")

    engine_ids = List(Integer()).tag(to_dict=True)
    output_file = Unicode().tag(to_dict=True)

    stop_seconds_until_kill = Integer(5, config=True, help="""
        How long engines may take to leave before they are killed.""")
    lost_seconds = Float(15.0, config=True, help="""
        A controller that is silent for so long is taken for gone.""")

    engine_args = List(Unicode(), config=True, help="""
        Not used: engines have the arguments of their job.""")

    _watch_thread = None
    _stopping = False

    @default("output_file")
    def _default_output_file(self) -> str:
        log_dir = os.path.join(self.profile_dir, "log")
        os.makedirs(log_dir, exist_ok=True)
        return os.path.join(log_dir, f"{self.identifier}.log")

    def find_args(self) -> list[str]:
        return ["ipmpi engines"]

    # -- life --------------------------------------------------------------

    async def start(self, n: int):
        """Asks the controller for n engines; returns once it has them."""
        if self.state != "before":
            raise ProcessStateError(f"already started: {self.state}")
        self.n = n
        self.environment = self._clean_environment()
        controller = self._controller()
        if controller is None:
            raise LauncherError(
                'these engines live in their controller\'s job: choose '
                f'controller="{self.entrypoint_name}" as well')
        await controller.get_connection_info()
        self._log_start = _size(controller.output_file)
        try:
            self.engine_ids = await run_blocking(
                controller.provide_engines, n, self.environment)
        except LauncherError as error:
            self._fail(error)
            return
        self.notify_start(list(self.engine_ids))
        self._watch(started=True)

    def _fail(self, error: LauncherError) -> None:
        """As engines that started and died: whoever waits for them hears."""
        self.log.warning("%s", error)
        with open(self.output_file, "a") as log:
            log.write(f"{error}\n")
        self.notify_start([])
        self.notify_stop(self.end_data(1))

    @classmethod
    def from_dict(cls, d, **kwargs):
        """An engine set of a living cluster. NotRunning."""
        self = super().from_dict(d, **kwargs)
        try:
            with self._hub() as hub:
                living = hub.engines()
        except (OSError, ValueError, HubError) as error:
            raise NotRunning(f"engines {self.engine_ids}: {error}") from None
        if not set(living) & set(self.engine_ids):
            raise NotRunning(f"engines {self.engine_ids}")
        self._watch(started=False)
        return self

    def _controller(self):
        controller = getattr(self.parent, "controller", None)
        if isinstance(controller, JobController):
            return controller
        return None

    def _watch(self, started: bool) -> None:
        self._stop_watching = threading.Event()
        watch = _Watch(self, self._controller(), self.loop, started)
        self._watch_thread = threading.Thread(
            target=watch.run, name=f"watch({self.identifier})", daemon=True)
        self._watch_thread.start()

    def signal(self, sig) -> None:
        """Sends a signal to the set's engines, busy or not."""
        if self.state == "running":
            with self._hub() as hub:
                self._tell(hub, "signal_request", {"sig": int(sig)})

    def _tell(self, hub: Hub, request: str, content: dict) -> int:
        """To all engines of the set; how many there were."""
        uuids = [uuid for number, uuid in hub.engines().items()
                 if number in self.engine_ids]
        hub.tell_engines(uuids, request, content)
        return len(uuids)

    async def stop(self):
        """Ends the set's engines; the controller lives on."""
        self._stopping = True
        if self.state == "running":
            await run_blocking(self._stop_engines)
        if self.state == "running":
            self.notify_stop(self.end_data(0))

    def _stop_engines(self) -> None:
        """Asks them to leave, then kills; without a controller there are
        none any more."""
        thread = self._watch_thread
        kill = {"sig": int(signals.SIGKILL)}
        for request, content, seconds in (
                ("shutdown_request", {"restart": False},
                 self.stop_seconds_until_kill),
                ("signal_request", kill, self.stop_seconds_until_kill)):
            try:
                with self._hub() as hub:
                    if self._tell(hub, request, content) == 0:
                        break
            except (OSError, ValueError, HubError):
                break
            thread.join(timeout=seconds)
            if not thread.is_alive():
                break
        self._stop_watching.set()
        thread.join(timeout=2)

    def end_data(self, code: int) -> dict:
        """What on_stop's callbacks are told."""
        return {"exit_code": code, "identifier": self.identifier,
                "engine_ids": list(self.engine_ids)}

    def notify_stop(self, data):
        """The set has ended, or all its engines have."""
        if self._stopping and data.get("exit_code"):
            data = {**data, "exit_code": 0}
        return super().notify_stop(data)

    async def join(self, timeout=None):
        """Waits until the set has no engine left. TimeoutError."""
        thread = self._watch_thread
        if thread is not None:
            await run_blocking(thread.join, timeout)
            if thread.is_alive():
                raise TimeoutError(f"engines live after {timeout} s")

    def poll(self):
        """None while there are engines, else an exit code."""
        if self.state == "after":
            return (self.stop_data or {}).get("exit_code")
        return None

    # -- output ------------------------------------------------------------

    _output = None
    _log_start = 0

    def get_output(self, remove: bool = False) -> str:
        """Who came and went, then what the job printed meanwhile."""
        controller = self._controller()
        if self._output is None or self.state == "running":
            words = _read(self.output_file)
            if controller is not None:
                words += _read(controller.output_file, self._log_start)
            self._output = words or self._output or ""
        if remove:
            try:
                os.remove(self.output_file)
            except OSError:
                pass
        return self._output


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def _read(path: str, start: int = 0) -> str:
    try:
        with open(path, "rb") as file:
            if start <= _size(path):
                file.seek(start)
            return file.read().decode(errors="replace")
    except OSError:
        return ""


class _Watch:
    """One thread that follows a set's engines by the controller's news.

    An engine counts as gone when it left the controller's list, or when
    notice of its end came. The controller's list is asked for now and then,
    since news to a new subscriber can be lost, and none tells of an engine
    that died before it had registered.
    """

    ASK_SECONDS = 1.0

    def __init__(self, launcher: IpmpiEngineSetLauncher, controller, loop,
                 started: bool) -> None:
        self.launcher, self.controller, self.loop = launcher, controller, loop
        self.wanted = set(launcher.engine_ids)
        self.seen: set[int] = set()
        self.gone: set[int] = set()
        self.started = started
        self.heard = time.monotonic()

    def run(self) -> None:
        code = 1
        try:
            with self.launcher._hub() as hub:
                code = self._follow(hub)
        except (OSError, ValueError) as error:
            self._say(f"cannot follow the engines: {error}")
        if code is not None:
            on_loop(self.loop, self.launcher.notify_stop,
                    self.launcher.end_data(code))

    def _follow(self, hub: Hub) -> int | None:
        """Until all are gone: 1; until told to stop: None."""
        while not self.launcher._stop_watching.is_set():
            for kind, content in hub.news(0.2):
                self._take_news(kind, content)
                if self._over():
                    break
            self._ask(hub)
            if self._over():
                return 1
            if self.controller is not None and self.controller.ended():
                self._say("the job has ended")
                return 1
            if time.monotonic() - self.heard > self.launcher.lost_seconds:
                self._say("the controller does not answer")
                return 1
        self._ask(hub)
        return None

    def _over(self) -> bool:
        return self.gone >= self.wanted

    def _take_news(self, kind: str, content: dict) -> None:
        self.heard = time.monotonic()
        if kind == "registration_notification":
            self._came(content["id"])
        elif kind == "unregistration_notification":
            self._left(content["id"])
        elif kind == "shutdown_notification":
            self.gone |= self.wanted

    def _ask(self, hub: Hub) -> None:
        try:
            status = hub.ask("ipmpi_status_request",
                             seconds=self.ASK_SECONDS)
        except (HubTimeout, HubError):
            return
        self.heard = time.monotonic()
        states = {engine["id"]: engine["state"]
                  for engine in status["engines"]}
        for number in sorted(states):
            if states[number] != "starting":
                self._came(number)
        for number in self.wanted - set(states):
            self._left(number)

    def _came(self, number: int) -> None:
        if number in self.wanted and number not in self.seen | self.gone:
            self.seen.add(number)
            self._say(f"Completed registration with id {number}")

    def _left(self, number: int) -> None:
        if number in self.wanted and number not in self.gone:
            self.seen.discard(number)
            self.gone.add(number)
            self._say(f"engine {number} has left")

    def _say(self, words: str) -> None:
        if not self.started:  # whoever started the set writes its log
            return
        with open(self.launcher.output_file, "a") as log:
            log.write(words + "\n")
