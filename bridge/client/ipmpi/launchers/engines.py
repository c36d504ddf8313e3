"""Sets of engines inside the job of their controller."""

from __future__ import annotations

import os
import signal as signals
import threading

from ipyparallel.cluster.launcher import (
    EngineLauncher,
    LauncherError,
    NotRunning,
    ProcessStateError,
)
from traitlets import Float, Integer, List, Unicode, default

from ..hub import Hub, HubError
from .base import ClusterFiles, JobController, run_blocking
from .watch import Watch


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
        Options of ipmpi-engine and ipengine for engines that are started for
        this set, besides those of their job.""")

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
                controller.provide_engines, n, self.environment,
                list(self.engine_args))
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
        watch = Watch(self, self._controller(), self.loop, started)
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
