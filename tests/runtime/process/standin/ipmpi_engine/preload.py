"""What the zygote imports first."""

import os


def prepare():
    """Nothing to prepare."""
    if os.environ.get("STANDIN_ZYGOTE") == "crash":
        os.abort()
    if os.environ.get("STANDIN_ZYGOTE") == "missing":
        raise ImportError("no module named nothing")


def freeze():
    """Nothing to freeze."""
