"""apply_request: call a function with arguments, all from buffers.

This is the path of every push, pull, map and task, so it does only what shows:
no message dict, no parsed header, no compiled text. The reply's header and
metadata are made in C.
"""

from __future__ import annotations

import _ipmpi
from ipyparallel import serialize

from . import dask_worker, errors
from .session import BUFFER_THRESHOLD, ITEM_THRESHOLD, pack

# Evaluated in the user's namespace, so that the caller's frame that user code
# sees (warnings, inspect) is `__main__`, as upstream; the three names live in
# locals of their own, so that nothing appears in the namespace.
_CALL = compile("f(*args, **kwargs)", "<string>", "eval")


def run(kernel, ref: int, buffers: list, call=None) -> None:
    """Runs one request and replies. Whatever user code raises, SystemExit and
    KeyboardInterrupt included, is an error reply.

    call: from buffers and namespace to the result's buffers; default: perform
    """
    call = call or perform
    interrupts = kernel.interrupts
    content = None
    result: list = []
    status = _ipmpi.OK
    try:
        try:
            interrupts.arm()
            result = call(buffers, kernel.shell.user_ns)
        finally:
            interrupts.disarm()
    except BaseException as exc:
        interrupts.disarm()
        status = (_ipmpi.UNMET if type(exc).__name__ == "UnmetDependency"
                  else _ipmpi.ERROR)
        result = []
        content = pack(errors.report(kernel, exc, "apply"))
    kernel.reply(ref, status, content, result)


def perform(buffers: list, user_ns: dict) -> list:
    """Unpacks, calls, and serializes the result: buffers in, buffers out.

    Unpacking runs functional dependencies; it and serializing may raise
    anything, as user code may.
    """
    # Looked up at each call: use_dill and use_cloudpickle change the module.
    f, args, kwargs = serialize.unpack_apply_message(buffers, user_ns,
                                                     copy=False)
    if "ncores" in kwargs:
        dask_worker.translate(f, kwargs)
    result = eval(_CALL, user_ns, {"f": f, "args": args, "kwargs": kwargs})
    return pack_result(result)


def pack_result(result) -> list:
    return serialize.serialize_object(result, BUFFER_THRESHOLD,
                                      ITEM_THRESHOLD)
