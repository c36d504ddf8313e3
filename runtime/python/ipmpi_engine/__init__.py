"""What runs inside an engine: the Python half of an ipmpi rank.

The built-in C module `_ipmpi` brings requests and takes replies and output;
this package turns each request into Python: it owns the event loop, the
IPython shell, the kernel object that user code sees, and the binding of mpi4py
to the engines' communicator.

User code needs one function of it, `writable`.

Reading order: engine (a life), loop (the main thread), kernel (dispatch),
apply and execute (the two requests that matter), then the rest.

Threads: everything runs on the main thread, except control.py, and output,
which any thread may write.
"""


def writable(name: str):
    """For user code: makes the array `name` of the user's namespace one that
    can be written to, and returns it. Arrays that a broadcast has shared among
    the engines of a node cannot be: this makes a private copy."""
    from . import arrays

    return arrays.writable(name)
