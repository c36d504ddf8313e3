"""What ipyparallel 7 says of a dask worker, in the words of today's dask.

Its ``become_dask`` passes ``ncores``, which its documentation names, too;
distributed has called this ``nthreads`` since 2.0 and refuses the old name.
The function itself comes from the client, so only its arguments can be met.
"""

from __future__ import annotations

import inspect


def translate(function, arguments: dict) -> None:
    """Renames `ncores` in the keyword arguments of a become_dask_worker,
    in place, if the installed distributed wants that. Of two numbers the one
    that is not 1 was meant: 1 is what a client adds, under either name."""
    if (getattr(function, "__name__", "") != "become_dask_worker"
            or function.__module__ != "ipyparallel.util"):
        return
    from distributed import Worker

    known = inspect.signature(Worker).parameters
    if "ncores" not in known and "nthreads" in known:
        ncores = arguments.pop("ncores")
        if arguments.get("nthreads", 1) == 1:
            arguments["nthreads"] = ncores
