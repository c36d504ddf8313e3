"""ipmpi.Client, from the source tree, and clusters that know what it asks."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from harness import package
from harness.cluster import Cluster

sys.path.insert(0, str(package.CLIENT))

import ipmpi  # noqa: E402

WAIT = 60  # seconds, for a single thing on a busy machine


def our_cluster(kind: str, engines: int, **keywords) -> Cluster:
    """A cluster, to be started by `with`; skips the test if upstream's are
    tested."""
    if kind != "ipmpi":
        pytest.skip("only ipmpi's clusters serve ipmpi.Client")
    return Cluster(engines, **keywords)


@contextlib.contextmanager
def connected(cluster: Cluster) -> Iterator[ipmpi.Client]:
    """A client that sees all the engines; closed at the end."""
    with ipmpi.Client(profile_dir=str(cluster.profile_dir)) as client:
        client.wait_for_engines(cluster.engines, timeout=WAIT)
        yield client


def until(condition: Callable[[], bool], what: str = "not in time") -> None:
    """Waits until it is true; fails with `what` after WAIT."""
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)
