"""What the tests of bulk maps share: a cluster of three engines a module, and
a client that must have forgotten all at a test's end."""

from __future__ import annotations

import pytest
from ours import WAIT, connected, our_cluster, until


@pytest.fixture(scope="module")
def bulk_cluster(kind):
    with our_cluster(kind, 3) as cluster:
        yield cluster


@pytest.fixture
def rc(bulk_cluster):
    with connected(bulk_cluster) as client:
        yield client
        assert client.wait(timeout=WAIT)
        assert not client.outstanding
        until(lambda: not client._futures and not client._output_futures)


@pytest.fixture
def view(rc):
    return rc.load_balanced_view()


@pytest.fixture
def own(kind):
    """A client of a cluster that the test may damage."""
    with our_cluster(kind, 3) as cluster, connected(cluster) as client:
        yield client
