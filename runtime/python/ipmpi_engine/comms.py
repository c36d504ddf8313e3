"""Comms: the two-way channel of widgets.

ipykernel has had two homes for them: its own classes up to 6.17, the package
`comm` after it. Either way its Comm finds our kernel by `Kernel.instance()`
and sends through our session.
"""

from __future__ import annotations

import json
import logging

from ipykernel.comm import CommManager

from .parent import current, message_from

log = logging.getLogger("ipmpi.engine")


def create_manager(kernel):
    """The process's only comm manager, of whichever kind is installed."""
    try:
        import comm
    except ImportError:
        return CommManager(parent=kernel, kernel=kernel)
    # Whoever imports this later would replace the manager; so import it now.
    import ipykernel.ipkernel

    if comm.get_comm_manager is not ipykernel.ipkernel._get_comm_manager:
        comm.create_comm = ipykernel.ipkernel._create_comm
        comm.get_comm_manager = ipykernel.ipkernel._get_comm_manager
    manager = comm.get_comm_manager()
    manager.kernel = kernel
    return manager


def handle(kernel, content: bytes, buffers: list) -> None:
    """Delivers one comm_open, comm_msg or comm_close. Errors of callbacks
    are logged: the protocol has no reply to put them in."""
    header = current.header
    deliver = getattr(kernel.comm_manager, header["msg_type"], None)
    if deliver is None:
        log.warning("unknown comm message %r dropped", header["msg_type"])
        return
    try:
        kernel.interrupts.arm()
        deliver(None, None, message_from(header, json.loads(content),
                                         buffers))
    except BaseException:
        log.exception("a comm callback failed")
    finally:
        kernel.interrupts.disarm()
