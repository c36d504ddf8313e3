"""Where things are, and which Pythons the tests use. Standard library only."""

from __future__ import annotations

import os
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
SOURCE = TESTS.parent
BUILD = Path(os.environ.get("IPMPI_BUILD", SOURCE / "build")).resolve()
ENGINE = BUILD / "ipmpi-engine"
MPI_RUN = TESTS / "mpi_run"

DEBIAN_PYTHON = Path("/usr/bin/python3")
VENV = Path(os.environ.get("IPMPI_TEST_VENV", BUILD / "venv-9")).absolute()

#: The clients that every whole-cluster test runs with: name -> interpreter.
PYTHONS = {"7": DEBIAN_PYTHON, "9": VENV / "bin" / "python"}

#: What the newest client's environment holds, newest of each by name.
VENV_PACKAGES = """
    ipyparallel>=9 ipykernel mpi4py numpy pytest pytest-asyncio psutil tqdm
    dask distributed joblib scikit-learn pandas matplotlib cloudpickle dill
    jupyter_server nbclient ipywidgets
""".split()

#: Where Marathon's clients of others are, and which: for tests/launch. The
#: last one is what shpkpr needs of its time.
MARATHON_VENV = BUILD / "venv-marathon"
MARATHON_PACKAGES = ["marathon==0.13.0", "shpkpr==4.1.2", "markupsafe<2.1"]


def environment_for(python: Path | str) -> dict[str, str]:
    """The caller's environment as if `python`'s environment were activated."""
    env = dict(os.environ)
    for name in ("PYTHONPATH", "PYTHONHOME", "CONDA_PREFIX", "VIRTUAL_ENV"):
        env.pop(name, None)
    python = Path(python).absolute()
    prefix = python.parent.parent
    paths = [p for p in env.get("PATH", os.defpath).split(os.pathsep)
             if not (Path(p).parent / "pyvenv.cfg").exists()]
    if (prefix / "pyvenv.cfg").exists():
        env["VIRTUAL_ENV"] = str(prefix)
    paths.insert(0, str(python.parent))
    env["PATH"] = os.pathsep.join(paths)
    return env


def here_python() -> Path:
    """The interpreter that runs this, by the path that names its venv."""
    return Path(sys.executable).absolute()
