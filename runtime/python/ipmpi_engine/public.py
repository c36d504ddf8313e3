"""The module `ipmpi` as tasks see it on an engine.

Where the client package `ipmpi` is installed for the engine's interpreter it
is that one, which finds `submit` here; where it is not, a finder behind all
others gives this module its name. So `from ipmpi import submit` always works.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys

from .children import Future, submit

__all__ = ["Future", "submit"]


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != "ipmpi":
            return None
        return importlib.util.spec_from_loader(name, _Loader())


class _Loader(importlib.abc.Loader):
    def create_module(self, spec):
        return None

    def exec_module(self, module) -> None:
        module.__doc__ = __doc__
        for name in ("__all__", *__all__):
            setattr(module, name, globals()[name])


def install() -> None:
    """Once, before user code."""
    sys.meta_path.append(_Finder())
