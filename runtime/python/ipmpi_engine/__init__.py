"""What runs inside an engine: the Python half of an ipmpi rank.

The built-in C module `_ipmpi` brings requests and takes replies and output;
this package turns each request into Python: it owns the event loop, the
IPython shell, the kernel object that user code sees, and the binding of mpi4py
to the engines' communicator.

Reading order: engine (a life), loop (the main thread), kernel (dispatch),
apply and execute (the two requests that matter), then the rest.

Threads: everything runs on the main thread, except control.py, and output,
which any thread may write.
"""
