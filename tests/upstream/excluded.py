"""Reading excluded.txt: which of upstream's tests are left out, and why."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

FILE = Path(__file__).with_name("excluded.txt")


@dataclasses.dataclass
class Rule:
    """One line: client versions, clusters, test pattern, reason."""

    versions: list[str]
    clusters: list[str]
    pattern: str
    reason: str

    def holds(self, version: str, cluster: str) -> bool:
        """Does it concern this client and this kind of cluster?"""
        return version in self.versions and cluster in self.clusters

    def matches(self, test: str) -> bool:
        """`test` is module.py::name, as in the pattern."""
        parts = (re.escape(part) for part in self.pattern.split("*"))
        return bool(re.fullmatch(".*".join(parts), test))


def read(path: Path = FILE) -> list[Rule]:
    """All rules; ValueError for a line that is not one."""
    rules = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = [field.strip() for field in line.split("|")]
        if len(fields) != 4 or not fields[3]:
            raise ValueError(f"{path}:{number}: not four fields")
        versions, clusters, pattern, reason = fields
        rules.append(Rule(versions.split(), clusters.split(), pattern,
                          reason))
    return rules
