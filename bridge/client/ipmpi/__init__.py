"""The client side of ipmpi: a client, launchers for ipyparallel, and sweeps.

`ipmpi.Client` is an ipyparallel.Client whose views have collective verbs;
`ipmpi.submit(f, *args)`, inside a task, submits another one;
`ipmpi.sweep` searches hyperparameters on any ipyparallel client;
`ipmpi.launchers` is what `ipp.Cluster(controller="ipmpi",
engines="ipmpi")` starts. Importing this package imports none of them.
"""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["Client"]


def __getattr__(name: str):
    if name == "Client":
        from .client import Client

        return Client
    if name in ("submit", "Future"):  # inside a task, on an engine
        try:
            from ipmpi_engine import children
        except ImportError:
            raise AttributeError(
                f"ipmpi.{name} is for tasks: it exists on engines") from None
        return getattr(children, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
