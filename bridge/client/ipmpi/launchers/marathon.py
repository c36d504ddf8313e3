"""Launchers for Marathon: `Cluster(controller="ipmpi-marathon",
engines="ipmpi-marathon", n=6)`.

The controller launcher runs `ipmpi marathon start`, which has Marathon place
the containers of one job, stays with it, and takes it away again. All ranks
come with the job, so n must be known when it starts. An engine set takes the
job's engines that no other set has.
"""

from __future__ import annotations

import re

from ipyparallel.cluster.launcher import LauncherError
from traitlets import Float, Integer, List, Unicode

from .engines import IpmpiEngineSetLauncher
from .local import IpmpiControllerLauncher


class IpmpiMarathonControllerLauncher(IpmpiControllerLauncher):
    """A cluster in containers that Marathon places."""

    name = Unicode("ipmpi-marathon")
    entrypoint_name = "ipmpi-marathon"

    marathon = Unicode(config=True, help="""
        Marathon's instances: URL[,URL..]. Default: $MARATHON_URL.""")
    image = Unicode("ipmpi/engine", config=True, help="The containers' image.")
    nodes = Integer(1, config=True, help="Containers, one on each host.")
    ranks_per_node = Integer(0, config=True, help="""
        Engines in each container; 0: as many as the cluster's n asks for.""")
    job = Unicode(config=True, help="""
        The job's name in Marathon; default: made of the cluster's id.""")
    marathon_args = List(Unicode(), config=True, help="""
        More options of `ipmpi marathon start`, each in one word:
        "--container-network=overlay", "--constraint=rack:GROUP_BY",
        "--header-file=/home/me/.marathon".""")
    stop_seconds_until_kill = Integer(90, config=True, help="""
        The job ends, then its containers go; who is killed before that
        leaves the application behind.""")
    # a job may wait for offers
    connection_info_timeout = Float(-1.0, config=True)

    def find_args(self) -> list[str]:
        args = [*self.controller_cmd, "marathon", "start",
                f"--job={self._job()}", *self.cluster_args,
                f"--image={self.image}", f"--nodes={self.nodes}",
                f"--ranks-per-node={self._ranks_per_node()}"]
        if self.marathon:
            args.append(f"--marathon={self.marathon}")
        args += [f"--env={name}={value}" for name, value
                 in sorted(self._clean_environment().items())]
        args += self.marathon_args
        return [*args, "--", *self.controller_args]

    def _job(self) -> str:
        if self.job:
            return self.job
        words = re.sub("[^a-z0-9-]+", "-", f"ipp-{self.cluster_id}".lower())
        return words.strip("-")[:60].rstrip("-")

    def _ranks_per_node(self) -> int:
        n = getattr(self.parent, "n", None)
        if self.ranks_per_node:
            return self.ranks_per_node
        if not n:
            raise LauncherError(
                "how large a job? Give Cluster(n=...), or ranks_per_node of "
                "IpmpiMarathonControllerLauncher")
        return -(-n // self.nodes)

    def get_environment(self) -> dict[str, str]:
        """The launcher's own; engines get theirs as options."""
        return {}

    def provide_engines(self, n: int, environment: dict[str, str],
                        args: list[str]) -> list[int]:
        """See JobController."""
        with self._hub() as hub:
            return self._take(hub, n, environment, args)


class IpmpiMarathonEngineSetLauncher(IpmpiEngineSetLauncher):
    """Engines inside the containers of the controller launcher."""

    name = Unicode("ipmpi-marathon-engines")
    entrypoint_name = "ipmpi-marathon"
