"""What our launchers have in common."""

from __future__ import annotations

import asyncio
import json

from ipyparallel.cluster.launcher import (
    BaseLauncher,
    ControllerLauncher,
    LauncherError,
)
from traitlets import Dict

from ..hub import Hub, HubError, HubTimeout

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


async def run_blocking(function, *args):
    """Calls a function that may block, beside the running loop. When the
    interpreter is ending, it has no more threads for us: here and now then."""
    try:
        call = asyncio.get_running_loop().run_in_executor(
            None, function, *args)
    except RuntimeError:
        return function(*args)
    return await call


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

    def provide_engines(self, n: int, environment: dict[str, str],
                        args: list[str]) -> list[int]:
        """Brings n engines; their ids. Blocks. LauncherError.

        args: more options of ipmpi-engine; those of a batch job, which are
        there already, have none of their own
        """
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

    def _spawn(self, hub: Hub, n: int, environment: dict[str, str],
               args: list[str]) -> list[int]:
        """More engines, by the controller; returns when they are ready."""
        try:
            answer = hub.ask("ipmpi_spawn_request",
                             {"n": n, "environment": environment,
                              "args": args},
                             seconds=SPAWN_SECONDS)
        except (HubError, HubTimeout) as error:
            raise LauncherError(f"no engines: {error}") from None
        return [int(i) for i in answer["engine_ids"]]

    def _take(self, hub: Hub, n: int, environment: dict[str, str],
              args: list[str]) -> list[int]:
        """Engines of the job that no set has yet, else spawned ones."""
        sets = getattr(self.parent, "engines", {}).values()
        taken = {i for engines in sets
                 for i in getattr(engines, "engine_ids", [])}
        free = sorted(set(hub.engines()) - taken)
        if len(free) >= n:
            return free[:n]
        return free + self._spawn(hub, n - len(free), environment, args)
