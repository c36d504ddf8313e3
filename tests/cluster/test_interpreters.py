"""One build, any Python: whole clusters with each CPython of the machine that
can be embedded, and one clear message for each that cannot."""

from __future__ import annotations

import functools
import glob
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import places

LEAST = (3, 11)
RANKS = 3
PIP_SECONDS = 240
CACHE = places.BUILD / "interpreters"

ABOUT = """
import importlib.util, json, os, sys, sysconfig
where = sysconfig.get_config_var("LIBDIR") or ""
name = sysconfig.get_config_var("INSTSONAME") or ""
print(json.dumps({
    "version": sys.version_info[:2], "prefix": sys.base_prefix,
    "shared": ".so" in name and os.path.exists(os.path.join(where, name)),
    "debian": sys.base_prefix == "/usr"}))
"""

# A client in the engines' own Python: code objects do not travel between
# versions of Python.
CLIENT = """
import sys
import ipyparallel as ipp
rc = ipp.Client(profile_dir=sys.argv[1])
rc.wait_for_engines(2, timeout=30)
view = rc[:]
found = view.apply_sync(
    lambda: [*__import__("sys").version_info[:2], __import__("sys").prefix])
assert found == [[*sys.version_info[:2], sys.prefix]] * 2, found
assert rc.load_balanced_view().map_sync(lambda x: x * x, range(9)) == [
    x * x for x in range(9)]
view.execute("x = 6 * 7; print('said')", block=True)
assert view["x"] == [42, 42]
try:
    view.apply_sync(lambda: 1 / 0)
except ipp.error.CompositeError as error:
    assert len(error.elist) == 2
else:
    raise AssertionError("1 / 0 was no error")
rc.close()
"""


@dataclass(frozen=True)
class Python:
    """An interpreter of this machine."""

    path: Path
    version: tuple[int, int]
    shared: bool
    debian: bool

    @property
    def name(self) -> str:
        return "%d.%d" % self.version


@functools.cache
def pythons() -> list[Python]:
    """Every CPython 3 of pyenv and PATH, each installation once."""
    found: dict[str, Python] = {}
    directories = [os.path.expanduser("~/.pyenv/versions/*/bin"),
                   *os.environ.get("PATH", os.defpath).split(os.pathsep)]
    for path in (path for directory in directories
                 for path in sorted(glob.glob(f"{directory}/python3*"))):
        if path.rpartition("python3")[2].strip(".0123456789"):  # -config
            continue
        try:
            done = subprocess.run([path, "-c", ABOUT], capture_output=True,
                                  text=True, timeout=20, cwd="/",
                                  stdin=subprocess.DEVNULL)
            about = json.loads(done.stdout)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            continue  # a shim of an interpreter that is not there
        found.setdefault(about["prefix"], Python(
            Path(path), tuple(about["version"]), about["shared"],
            about["debian"]))
    return list(found.values())


def environment(python: Python) -> Path | None:
    """The interpreter of a venv with ipyparallel; None where there is none
    to be had. Kept below the build directory for the next run."""
    directory = CACHE / f"cpython-{python.name}"
    ours, done = directory / "bin" / "python", directory / "complete"
    if done.exists():
        return ours
    try:
        for command in ([python.path, "-m", "venv", "--clear", directory],
                        [ours, "-m", "pip", "install", "--quiet",
                         "ipyparallel"]):
            subprocess.run(command, check=True, timeout=PIP_SECONDS,
                           stdin=subprocess.DEVNULL)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None
    done.touch()
    return ours


def use(make_cluster, python: Path) -> None:
    """A whole cluster on `python`, used and ended."""
    cluster = make_cluster(RANKS - 1, python=python,
                           args=(f"--python={python}",))
    done = subprocess.run(
        [python, "-c", CLIENT, cluster.profile_dir], env=cluster.env,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr + cluster.log()
    cluster.stop()


def test_debian_python(make_cluster):
    use(make_cluster, places.DEBIAN_PYTHON)


def test_environment_of_debian_python(make_cluster, tmp_path):
    subprocess.run([places.DEBIAN_PYTHON, "-m", "venv", "--without-pip",
                    "--system-site-packages", tmp_path / "venv"], check=True)
    use(make_cluster, tmp_path / "venv" / "bin" / "python")


@pytest.mark.seconds(900)
def test_every_other_python(make_cluster):
    """All that are new enough and shared; pip may be out of reach for some."""
    others = [python for python in pythons() if python.version >= LEAST
              and python.shared and not python.debian]
    used = []
    for python in others:
        if ours := environment(python):
            use(make_cluster, ours)
            used.append(python.name)
    print(f"used {used} of {[python.name for python in others]}")
    assert used or not others, "no environment could be made"


def refused(make_cluster, python: Path | str, *words: str) -> None:
    """The start fails with 3 and one message that has all `words`."""
    cluster = make_cluster(RANKS - 1, start=False,
                           args=(f"--python={python}",))
    assert cluster.run_to_end() == 3, cluster.log()
    cluster.wait_end()
    told = [line for line in cluster.log().splitlines()
            if str(python) in line]
    assert len(told) == 1, cluster.log()
    for word in words:
        assert word in told[0]
    assert not cluster.connection_file.exists()


def test_too_old(make_cluster, tmp_path):
    old = [python for python in pythons() if python.version < LEAST]
    for python in old:
        refused(make_cluster, python.path, f"is Python {python.name};",
                "Install", "--python")
    if not old:
        refused(make_cluster, stand_in(tmp_path, "@version=3.9"),
                "is Python 3.9;", "Install", "--python")


def test_no_ipyparallel(make_cluster, tmp_path):
    """A venv without packages, of each version that would do."""
    for python in pythons():
        if python.version >= LEAST:
            directory = tmp_path / python.name
            subprocess.run([python.path, "-m", "venv", "--without-pip",
                            directory], check=True)
            refused(make_cluster, directory / "bin" / "python",
                    "has no ipyparallel",
                    f"{directory}/bin/python -m pip install ipyparallel")


def test_no_shared_library(make_cluster, tmp_path):
    """Few machines have such a Python; one that says so does as well."""
    refused(make_cluster, stand_in(tmp_path, "@version=3.12\n@end="),
            "has no shared libpython", "apt install libpython3.12",
            "--enable-shared")


def test_no_such_python(make_cluster, tmp_path):
    refused(make_cluster, tmp_path / "gone", "is no program")


def stand_in(directory: Path, answer: str) -> Path:
    """A program that answers as an interpreter with these properties."""
    path = directory / "python"
    path.write_text(f"#!/bin/sh\ncat <<END\n{answer}\nEND\n")
    path.chmod(0o755)
    return path
