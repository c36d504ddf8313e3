"""What a process holds."""

from __future__ import annotations

import re
from pathlib import Path


def resident_mb(pid: int) -> float:
    """MB in memory, shared pages included."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"Rss:\s+(\d+)", text)[1]) * 1024 / 1e6
