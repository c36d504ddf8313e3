"""Fixtures that start real clusters, with the interpreter that runs pytest
as the client's and (unless a test says otherwise) the engines'.

    pytest tests/cluster                       against mpirun ipmpi-engine
    pytest tests/cluster --cluster=upstream    against ipyparallel's own,
                                               which judges the tests
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import ipyparallel as ipp  # noqa: E402
from harness.cluster import Cluster  # noqa: E402

TEST_SECONDS = 120  # no test may take longer, whatever hangs
WAIT = 30           # no single result may


#: Modules whose subject is our own processes and memory, not what a client
#: sees: tests/run runs them with the newest client only, --long with both.
ONCE = {f"test_{name}.py" for name in (
    "bounds", "errors", "faults", "generator", "interpreters", "lifecycle",
    "processes", "shared", "soak", "stealing", "submit", "uts")}

if ipp.version_info < (8,):  # their docstrings say why
    collect_ignore = ["test_notebook.py", "test_jupyter.py"]


def pytest_addoption(parser) -> None:
    parser.addoption("--cluster", choices=("ipmpi", "upstream"),
                     default="ipmpi", help="what to test (default: ipmpi)")


def pytest_configure(config) -> None:
    config.addinivalue_line(
        "markers", "seconds(n): a time limit other than the usual")
    config.addinivalue_line(
        "markers", "long: only in tests/run --long")
    config.addinivalue_line(
        "markers", "once: with one client, but in tests/run --long")


def pytest_collection_modifyitems(items) -> None:
    for item in items:
        if item.path.name in ONCE:
            item.add_marker("once")


@pytest.fixture(autouse=True)
def deadline(request):
    """Ends a test that hangs: TimeoutError in the main thread."""
    marker = request.node.get_closest_marker("seconds")
    seconds = marker.args[0] if marker else TEST_SECONDS

    def ring(number, frame):
        raise TimeoutError(f"no end after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def kind(request) -> str:
    """Which clusters are tested: "ipmpi" or "upstream"."""
    return request.config.getoption("--cluster")


@pytest.fixture
def make_cluster(kind, request):
    """make_cluster(engines, **keywords of Cluster): a started cluster.

    Those that a test leaves running are stopped at its end, and must leave
    nothing behind then. start=False only prepares one.
    """
    made: list[Cluster] = []

    def make(engines: int, start: bool = True, **keywords) -> Cluster:
        cluster = Cluster(engines, kind=kind, **keywords)
        made.append(cluster)
        return cluster.start() if start else cluster

    yield make
    problems = []
    for cluster in made:
        try:
            if cluster.process and cluster.process.poll() is None:
                cluster.stop()
        except Exception as error:
            problems.append(str(error))
        finally:
            cluster.destroy()
    if problems:
        pytest.fail("\n".join(problems))


@pytest.fixture(scope="module")
def cluster(kind):
    """A cluster of four engines that the tests of a module share."""
    with Cluster(4, kind=kind) as shared:
        yield shared


@pytest.fixture
def connect(request):
    """connect(cluster, n=None): a client that sees n engines (default: all
    that the cluster was made with); closed at the test's end."""
    clients: list[ipp.Client] = []

    def connect(cluster: Cluster, n: int | None = None,
                **keywords) -> ipp.Client:
        keywords.setdefault("profile_dir", str(cluster.profile_dir))
        keywords.setdefault("cluster_id", cluster.cluster_id)
        client = ipp.Client(**keywords)
        clients.append(client)
        n = cluster.engines if n is None else n
        if n:
            client.wait_for_engines(n, timeout=WAIT)
        return client

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def rc(cluster, connect) -> ipp.Client:
    """A client of the module's shared cluster."""
    return connect(cluster)


@pytest.fixture(scope="session", autouse=True)
def no_stray_threads():
    """Clients leave their I/O threads to us; all must end with them. The
    executors of ipyparallel's own Cluster objects end with the interpreter."""
    yield
    main = threading.main_thread()
    alive = [t for t in threading.enumerate()
             if t is not main and not t.daemon
             and not t.name.startswith("asyncio_")]
    assert not alive, f"threads left: {alive}"
