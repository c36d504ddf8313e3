"""The client package as if it were installed: on a path of its own, with the
metadata that pip would have written, so that its entry points are found."""

from __future__ import annotations

import tomllib
from pathlib import Path

from . import places

CLIENT = places.SOURCE / "bridge" / "client"


def install(directory: Path) -> Path:
    """Makes `directory` such a path and returns it."""
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
    info = directory / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (directory / "ipmpi").symlink_to(CLIENT / "ipmpi")
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\n"
        f"Version: {project['version']}\n")
    (info / "entry_points.txt").write_text("\n".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n"
                                 for name, value in points.items())
        for group, points in project["entry-points"].items()))
    return directory
