"""Imports of ipyparallel without what an engine hardly ever needs.

`import ipyparallel` brings two things along that cost a fifth to a third of all
that an engine imports: launchers of clusters, and, from 7.1 on Debian, the
whole of setuptools in the place of distutils, for the comparison of a version.
The former come when someone asks for them, the latter not at all.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from types import ModuleType

_PACKAGE = "ipyparallel"
_LATER = "ipyparallel.cluster"
_NAMES = ("Cluster", "ClusterManager")


def import_ipyparallel() -> None:
    """Imports the package; raises ImportError as `import` does."""
    with _plain_distutils():
        if _PACKAGE in sys.modules or not _import_without_clusters():
            importlib.import_module(_PACKAGE)


def _import_without_clusters() -> bool:
    """False, and nothing is imported, if this version wants more of it than
    the two names."""
    stand_in = ModuleType(_LATER)
    for name in _NAMES:
        setattr(stand_in, name, None)
    sys.modules[_LATER] = stand_in
    try:
        package = importlib.import_module(_PACKAGE)
    except ImportError:
        _forget(_PACKAGE)
        return False
    finally:
        sys.modules.pop(_LATER, None)
    if hasattr(package, "__getattr__"):
        _forget(_PACKAGE)
        return False
    for name in (*_NAMES, "cluster"):
        vars(package).pop(name, None)
    package.__getattr__ = _come
    return True


def _come(name: str) -> object:
    """`ipyparallel.<name>`, asked for the first time."""
    if name not in (*_NAMES, "cluster"):
        raise AttributeError(
            f"module {_PACKAGE!r} has no attribute {name!r}")
    module = importlib.import_module(_LATER)
    package = sys.modules[_PACKAGE]
    for each in _NAMES:
        setattr(package, each, getattr(module, each))
    return getattr(package, name)


@contextlib.contextmanager
def _plain_distutils():
    """Inside, distutils is the standard library's, which setuptools replaces
    by itself where it is installed; afterwards it is as before."""
    hack = sys.modules.get("_distutils_hack")
    if hack is None or "distutils" in sys.modules:
        yield
        return
    hack.remove_shim()
    try:
        yield
    finally:
        hack.add_shim()
        _forget("distutils")


def _forget(package: str) -> None:
    for name in [*sys.modules]:
        if name == package or name.startswith(package + "."):
            del sys.modules[name]
