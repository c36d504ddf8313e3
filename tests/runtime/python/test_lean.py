"""Imports of ipyparallel that leave out what engines hardly ever need, and
that user code cannot tell from the usual: ipmpi_engine.lean."""

import os
import subprocess
import sys
from pathlib import Path

PACKAGE = str(Path(__file__).parents[3] / "runtime" / "python")


def run(script, *first):
    """What the script prints, in a fresh interpreter whose path begins with
    `first`."""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True,
        timeout=60, env={**os.environ, "PYTHONPATH": os.pathsep.join(
            [*map(str, first), PACKAGE])})
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_launchers_come_when_they_are_asked_for():
    assert run("""
import sys
from ipmpi_engine import lean
lean.import_ipyparallel()
import ipyparallel as ipp
print([m for m in sys.modules if m.startswith("ipyparallel.cluster")])
print(ipp.Cluster.__module__, ipp.cluster.__name__, ipp.ClusterManager.__name__)
import ipyparallel.cluster.launcher
from ipyparallel.cluster import Cluster
print(ipp.Cluster is Cluster is ipp.cluster.Cluster)
try:
    ipp.nonsense
except AttributeError as error:
    print(error)
""") == ["[]", "ipyparallel.cluster.cluster ipyparallel.cluster ClusterManager",
         "True", "module 'ipyparallel' has no attribute 'nonsense'"]


def test_distutils_is_afterwards_what_it_was():
    usual = run("import distutils; print(distutils.__file__)"
                if sys.version_info < (3, 12) else "print()")
    seen = run("""
import sys
from ipmpi_engine import lean
lean.import_ipyparallel()
print([m for m in sys.modules if m.partition(".")[0] in (
    "distutils", "setuptools")])
if sys.version_info < (3, 12):
    import distutils
    print(distutils.__file__)
else:
    print()
""")
    assert seen == ["[]", *usual]


def test_a_version_that_wants_more_is_imported_whole(tmp_path):
    cluster = tmp_path / "ipyparallel" / "cluster"
    cluster.mkdir(parents=True)
    (tmp_path / "ipyparallel" / "__init__.py").write_text(
        "from .cluster import Cluster, Swarm\n")
    (cluster / "__init__.py").write_text("Cluster, Swarm = 'a', 'b'\n")
    assert run("""
from ipmpi_engine import lean
lean.import_ipyparallel()
import ipyparallel
print(ipyparallel.Cluster, ipyparallel.Swarm, ipyparallel.cluster.__name__)
""", tmp_path) == ["a b ipyparallel.cluster"]


def test_without_ipyparallel_the_error_is_the_usual(tmp_path):
    (tmp_path / "ipyparallel.py").write_text("import nonsense_package\n")
    assert run("""
from ipmpi_engine import preload
try:
    preload._import()
except ImportError as error:
    print(error)
""", tmp_path)[-1].endswith("No module named 'nonsense_package'")
