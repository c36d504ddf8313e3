"""A pytest plugin that puts our cluster under upstream's unchanged tests.

Upstream's tests start clusters through three functions of the module
ipyparallel.tests: setup, teardown, add_engines. Its conftest and its base
class import them by name, so they are replaced here before those are
imported. The rest is as upstream left it.

A cluster that can grow starts with one engine, as upstream's does, and grows
when a test asks. One that can not starts with as many as the module's tests
want at once; when a test killed some, the next test's set-up gets a fresh
cluster. tests/upstream/excluded.txt names what is left out, and why.
"""

from __future__ import annotations

import time
from pathlib import Path

import ipyparallel as ipp
import ipyparallel.tests as upstream_tests
import pytest
from IPython.paths import get_ipython_dir
from ipyparallel import error
from tornado.ioloop import IOLoop

from harness.cluster import Cluster

from . import excluded

#: How many engines a module's tests want at once, when it is not two.
ENGINES = {"test_asyncresult": 4, "test_client": 4, "test_lbview": 4,
           "test_magics": 6, "test_view_broadcast": 4}

PROFILE = "iptest"


class TracedError(error.RemoteError):
    """A RemoteError that shows its traceback, as in upstream's set-up."""

    def __str__(self) -> str:
        return "\n".join([super().__str__(), self.traceback or ""])


class Stage:
    """The one cluster that is up, and the three functions for upstream."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.engines = 1
        self.cluster: Cluster | None = None

    def setup(self) -> None:
        error.RemoteError = TracedError
        self.start()

    def start(self) -> None:
        self.cluster = Cluster(
            self.engines, kind=self.kind, args=("--ping=250", "--dictdb"),
            engine_args=("--InteractiveShell.colors=nocolor",),
            ipython_dir=get_ipython_dir(), profile=PROFILE)
        self.cluster.start()

    def teardown(self) -> None:
        cluster, self.cluster = self.cluster, None
        try:
            if cluster.process.poll() is None:
                cluster.stop(20 if self.kind == "upstream" else 5)
            else:
                cluster.check_nothing_left()
        finally:
            Path("clusters.log").open("a").write(cluster.log())
            cluster.destroy()

    def add_engines(self, n: int = 1, profile: str = PROFILE,
                    total: bool = False) -> list:
        """As upstream's: with `total`, only what is missing to n."""
        rc = ipp.Client(profile=profile)
        alive = len(rc)
        if total and alive >= n:
            rc.close()
            return []
        want = n if total else alive + n
        made = self.cluster.add_engines(want - alive)
        end = time.monotonic() + 30
        while len(rc) < want and time.monotonic() < end:
            time.sleep(0.01)  # wait_for_engines may miss one that comes now
        rc.close()
        return made


def pytest_addoption(parser) -> None:
    parser.addoption("--stage", choices=("ipmpi", "upstream"),
                     default="ipmpi", help="whose cluster to test")


STAGE = pytest.StashKey()


def pytest_configure(config) -> None:
    stage = Stage(config.getoption("--stage"))
    config.stash[STAGE] = stage
    for name in ("setup", "teardown", "add_engines"):
        setattr(upstream_tests, name, getattr(stage, name))
    if stage.kind == "ipmpi":
        from .launching import Launching  # finds our client package

        config.pluginmanager.register(Launching())


def pytest_collection_modifyitems(config, items) -> None:
    """Marks what excluded.txt names."""
    stage = config.stash[STAGE]
    version = ipp.__version__.split(".")[0]
    rules = [rule for rule in excluded.read()
             if rule.holds(version, stage.kind)]
    for item in items:
        module = item.module.__name__.rpartition(".")[2]
        stage.engines = ENGINES.get(module, 2)
        name = f"{module}.py::{item.nodeid.partition('::')[2]}"
        for rule in rules:
            if rule.matches(name):
                item.add_marker(pytest.mark.skip(reason=rule.reason))


@pytest.fixture
def io_loop():
    """What pytest-tornado lends to 7.1's launcher tests."""
    loop = IOLoop.current()
    yield loop
