"""The client side of ipmpi: launchers for ipyparallel, and sweeps.

`ipmpi.sweep` searches hyperparameters on any ipyparallel client;
`ipmpi.launchers` and `ipmpi.slurm` are what `ipp.Cluster(controller="ipmpi",
engines="ipmpi")` starts. Importing this package imports none of them.
"""

__version__ = "0.1.0"
