"""mpi4py bound to the engines.

In an ipmpi job the real MPI_COMM_WORLD includes rank 0, the controller, which
takes part in no collective. So, before user code runs, mpi4py's COMM_WORLD is
made to hold the engines' communicator: rank = engine id.

MPI is initialised and finalised by the C side; mpi4py must do neither.
"""

from __future__ import annotations

import ctypes
import importlib.abc
import importlib.util
import logging
import sys
from types import ModuleType

log = logging.getLogger("ipmpi.engine")

_NAME = "mpi4py.MPI"


def import_unbound() -> ModuleType | None:
    """Imports mpi4py.MPI without MPI_Init; None if it is not installed or
    does not load. Safe before fork and before MPI is initialised."""
    try:
        import mpi4py

        mpi4py.rc.initialize = False
        mpi4py.rc.finalize = False
        from mpi4py import MPI
    except ImportError as exc:
        if not isinstance(exc, ModuleNotFoundError):
            log.warning("mpi4py does not load (%s); engines run without it",
                        exc)
        return None
    return MPI


def bind(handle: int) -> ModuleType | None:
    """Binds mpi4py.MPI to the communicator `handle` (MPI is initialised).

    Returns the module, or None if there is no usable mpi4py now: then one
    that is imported later is bound as it loads.
    """
    MPI = import_unbound()
    if MPI is None:
        sys.meta_path.insert(0, _Finder(handle))
        return None
    return MPI if _rebind(MPI, handle) else None


def names(MPI: ModuleType | None) -> dict[str, object]:
    """What `ipengine --mpi` puts into the user's namespace."""
    if MPI is None:
        return {}
    return {"MPI": MPI, "mpi_rank": MPI.COMM_WORLD.Get_rank(),
            "mpi_size": MPI.COMM_WORLD.Get_size()}


def _rebind(MPI: ModuleType, handle: int) -> bool:
    """Puts the engines' communicator in place of COMM_WORLD.

    The handle is written into mpi4py's own object, so that whoever took a
    reference to it, mpi4py's C code included, sees the engines too.
    """
    vendor = MPI.get_vendor()[0]
    if vendor != "Open MPI":
        log.warning("this mpi4py was built for %s, the engines run Open MPI; "
                    "mpi4py is left unbound", vendor)
        return False
    if not MPI.Is_initialized():
        log.warning("mpi4py uses another MPI library than the engines; "
                    "it is left unbound")
        return False
    size = MPI._sizeof(MPI.COMM_WORLD)
    if size != ctypes.sizeof(ctypes.c_void_p):
        log.warning("mpi4py's communicators are %d bytes; left unbound", size)
        return False
    ctypes.c_void_p.from_address(
        MPI._addressof(MPI.COMM_WORLD)).value = handle
    MPI.COMM_WORLD = _guarded(MPI)(MPI.COMM_WORLD)
    for comm in (MPI.COMM_WORLD, MPI.COMM_SELF):  # errors are exceptions
        comm.Set_errhandler(MPI.ERRORS_RETURN)
    MPI.Finalize = _refuse_finalize
    MPI.Init = MPI.Init_thread = _refuse_init
    return True


def _guarded(MPI: ModuleType) -> type:
    """A class of communicators that cannot take the job down."""

    class EngineComm(MPI.Intracomm):
        """The engines' communicator, and duplicates of it."""

        __module__ = MPI.__name__

        def Abort(self, errorcode: int = 0):
            raise RuntimeError(
                f"Abort({errorcode}) would end every engine and the "
                "controller; raise an exception to fail this task, or call "
                "client.shutdown() to end engines")

        def Free(self) -> None:
            if self is MPI.COMM_WORLD:
                raise RuntimeError("COMM_WORLD cannot be freed")
            super().Free()

        Disconnect = Free

        def __reduce__(self):
            if self is MPI.COMM_WORLD:  # pickled by name
                return "COMM_WORLD"
            return super().__reduce__()

    return EngineComm


def _refuse_finalize() -> None:
    raise RuntimeError("MPI.Finalize() would end this engine's connection to "
                       "the cluster; MPI is finalised when the job ends")


def _refuse_init(*_) -> None:
    raise RuntimeError("MPI is already initialised, with "
                       "MPI_THREAD_MULTIPLE; there is no need to call Init()")


class _Finder(importlib.abc.MetaPathFinder):
    """Binds an mpi4py.MPI that is first imported by user code."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def find_spec(self, name, path=None, target=None):
        if name != _NAME:
            return None
        sys.meta_path.remove(self)
        try:
            import mpi4py

            mpi4py.rc.initialize = False
            mpi4py.rc.finalize = False
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self)
        return spec

    def bind(self, module: ModuleType) -> None:
        """Called once, when the module has run."""
        sys.meta_path.remove(self)
        _rebind(module, self._handle)


class _Loader(importlib.abc.Loader):
    """The module's own loader, followed by `_Finder.bind`."""

    def __init__(self, loader, finder: _Finder) -> None:
        self._loader = loader
        self._finder = finder

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._finder.bind(module)
