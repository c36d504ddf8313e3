"""The IPython shell of an engine.

It is ipykernel's own, so that what user code expects of a kernel is there; it
differs where ipykernel would touch a socket, a GUI loop or a disk. Where
ipykernel copies the parent header into four objects at each request, these
look it up when they need it.
"""

from __future__ import annotations

import sys
import types

from IPython.core.error import UsageError
from ipykernel.displayhook import ZMQShellDisplayHook
from ipykernel.zmqshell import ZMQDisplayPublisher, ZMQInteractiveShell
from ipyparallel.engine.datapub import ZMQDataPublisher
from traitlets import Any, Type
from traitlets.config import Config

from .parent import current


class _UnderCurrent:
    """Mixin of publishers: their parent is the current request."""

    def set_parent(self, parent):
        """Redirects this engine's output to the request `parent`."""
        current.set(parent)


def _under_current(base):
    """`base`, with `parent_header` looked up rather than stored."""
    name = base.__name__.replace("ZMQ", "Engine")
    header = property(lambda self: current.header, lambda self, value: None)
    return types.new_class(name, (_UnderCurrent, base), {}, lambda body:
                           body.update(parent_header=header,
                                       __module__=__name__))


EngineDisplayHook = _under_current(ZMQShellDisplayHook)
EngineDisplayPublisher = _under_current(ZMQDisplayPublisher)
EngineDataPublisher = _under_current(ZMQDataPublisher)


class EngineShell(ZMQInteractiveShell):
    """The singleton that `get_ipython()` returns."""

    displayhook_class = Type(EngineDisplayHook)
    display_pub_class = Type(EngineDisplayPublisher)
    kernel = Any()

    parent_header = property(lambda self: current.message,
                             lambda self, value: None)

    def _update_exit_now(self, change):
        """The loop looks at `exit_now` after each request; no timer."""

    def set_parent(self, parent):
        """Redirects output to the request `parent`."""
        current.set(parent)

    def get_parent(self):
        """The current request as a message dict."""
        return current.message

    def enable_gui(self, gui=None):
        """Refuses GUI loops: an engine has no display and one loop."""
        if gui not in (None, "inline", "asyncio"):
            raise UsageError(f"an engine cannot run the GUI loop {gui!r}")


def create(kernel, session, socket) -> EngineShell:
    """Makes the singleton shell. Safe before fork: no thread, and no file:
    the history is SQLite's in memory, which a child may take over.

    Its user namespace is the `__dict__` of a new `__main__` module.
    """
    config = Config()
    config.HistoryManager.hist_file = ":memory:"
    shell = EngineShell.instance(config=config, kernel=kernel)
    shell.extension_manager.load_extension("storemagic")
    data_pub = EngineDataPublisher(parent=shell)
    shell.data_pub = data_pub
    shell.configurables.append(data_pub)
    for publisher in (shell.displayhook, shell.display_pub, data_pub):
        publisher.session = session
        publisher.pub_socket = socket
    return shell


def bind(shell: EngineShell, engine_id: int) -> None:
    """Makes an inherited shell this engine's own, after fork."""
    topic = f"engine.{engine_id}".encode()
    shell.displayhook.topic = topic + b".execute_result"
    shell.display_pub.topic = topic + b".displaypub"
    shell.init_environment()
    if sys.path[:1] != [""]:
        sys.path.insert(0, "")
