"""Processes that user code forks (multiprocessing, os.fork).

Such a child has the engine's memory but no runtime: the threads of the C side
stayed behind. Its output goes to the captured descriptors, and if it falls
through to the engine's own code, it ends there.
"""

from __future__ import annotations

import os

in_child = False


def watch() -> None:
    """From here on forks are users' forks."""
    os.register_at_fork(after_in_child=_note)


def _note() -> None:
    global in_child
    in_child = True


def leave() -> None:
    """Ends the process if it is a user's child."""
    if in_child:
        os._exit(0)
