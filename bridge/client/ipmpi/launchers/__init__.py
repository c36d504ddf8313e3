"""Launchers for ipyparallel: `ipp.Cluster(controller="ipmpi", engines="ipmpi")`.

A cluster is one MPI job. The controller launcher starts it, at first with
rank 0 alone; an engine set asks the controller to spawn engines into the job
and watches them through the cluster's own protocol, since they have no
process of their own that a launcher could hold. Works with ipyparallel 7.1 to 9.
"""

from .engines import IpmpiEngineSetLauncher
from .local import IpmpiControllerLauncher

__all__ = ["IpmpiControllerLauncher", "IpmpiEngineSetLauncher"]
