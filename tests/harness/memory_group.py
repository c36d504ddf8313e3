"""A memory cgroup of our own, where the kernel kills for lack of memory."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def memory_group(mega: int):
    """Yields put(pid), which moves a process into a group that may use `mega`
    MB; or None where this user cannot make one."""
    base, limit = ROOT / "memory", "memory.limit_in_bytes"
    if not base.is_dir():
        base, limit = ROOT, "memory.max"
    group = base / f"ipmpi-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        yield None
        return
    try:
        try:
            (group / limit).write_text(str(mega << 20))
        except OSError:
            yield None
            return
        yield lambda pid: (group / "cgroup.procs").write_text(str(pid))
    finally:
        end = time.monotonic() + 10
        while True:  # it goes when its last process has gone
            try:
                group.rmdir()
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
