"""Everything of an engine that can be had before it is one.

A zygote calls `prepare()` once and forks; an engine without a zygote calls it
itself. Importing costs half a second and tens of megabytes; after a fork it
costs nothing and the pages are shared.

Invariant: afterwards there is still one thread, no event loop, no ZMQ context,
           and MPI is not initialised.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging

from . import blas, lean, mpi

log = logging.getLogger("ipmpi.engine")

# What every engine needs, and what the first tasks of most users import.
_NEEDED = ("ipyparallel.controller.dependency", "ipyparallel.util",
           "ipyparallel.client.remotefunction", "ipyparallel.client.view",
           "ipyparallel.engine.datapub")
_WELCOME = ("numpy", "numpy.random", "concurrent.futures.thread",
            "tornado.platform.asyncio", "cloudpickle")
# Not matplotlib, half a second at each start, when few engines plot; nor jedi,
# a tenth of an import of everything else, when few complete names.

_kernel = None
blas_setters: list = []


def prepare():
    """Imports all, makes kernel and shell; returns the kernel, always the
    same. ImportError says what must be installed."""
    global _kernel
    if _kernel is None:
        with _collector_off():
            _kernel = _prepare()
    return _kernel


@contextlib.contextmanager
def _collector_off():
    """Imports make hardly any garbage, and much that is looked through: the
    collector does not touch it, so that its pages stay shared."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _prepare():
    with blas.single_threaded():
        _import()
    blas_setters.extend(blas.find_setters())
    from . import children, engine, public, startup  # noqa: F401, for later
    from .kernel import EngineKernel

    kernel = EngineKernel.instance()
    kernel.prepare()
    mpi.import_unbound()
    return kernel


def _import() -> None:
    for name in _WELCOME:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
        except Exception:  # a broken package must not take engines down
            log.warning("cannot preload %s", name, exc_info=True)
    try:
        lean.import_ipyparallel()
        for name in _NEEDED:
            importlib.import_module(name)
    except ImportError as exc:
        raise ImportError(
            f"an engine needs the packages ipyparallel and ipykernel in its "
            f"interpreter, which do not import: {exc}") from exc
