"""Where upstream's examples come from: the source distribution of the version
that the client's environment has, fetched once by pip into the build tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from harness import places

#: What examples import that the environment of the tests does not have.
PACKAGES = ("networkx", "requests", "altair")

SECONDS = 600


def pip(*args: str, **env: str) -> None:
    """pip of the newest client's environment; raises if it fails."""
    subprocess.run([places.PYTHONS["9"], "-m", "pip", "-q", *args],
                   check=True, timeout=SECONDS, env={**os.environ, **env},
                   stdin=subprocess.DEVNULL)


def version() -> str:
    """Of the client's ipyparallel."""
    return subprocess.run(
        [places.PYTHONS["9"], "-c", "import ipyparallel as i;"
         "print(i.__version__)"], capture_output=True, text=True, check=True,
        timeout=60).stdout.strip()


def fetch() -> tuple[Path, Path]:
    """The examples' directory, and one for PYTHONPATH with their imports."""
    found = version()
    root = places.BUILD / f"examples-{found}"
    source = root / f"ipyparallel-{found}"
    if not source.exists():
        shutil.rmtree(root, ignore_errors=True)
        pip("install", "--target", str(root / "site"), *PACKAGES)
        # pip asks even a download for its metadata, by this build system
        pip("install", "--target", str(root / "tools"), "hatchling")
        pip("download", "--no-deps", "--no-binary", "ipyparallel",
            "--no-build-isolation", "--dest", str(root),
            f"ipyparallel=={found}", PYTHONPATH=str(root / "tools"))
        with tarfile.open(root / f"ipyparallel-{found}.tar.gz") as archive:
            archive.extractall(root, filter="data")
    return source / "docs" / "source" / "examples", root / "site"
