"""Finding and ending the processes that a test started, however they forked.

Every tree is started with a marker in its environment, which fork and exec
hand down; /proc shows it. So a process that left its group or session, or
whose parent died, is still found, and nobody else's ever is.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
import time
from pathlib import Path

MARK = "IPMPI_TEST_MARK"


def marked(mark: str) -> list[int]:
    """Pids of the living (not zombie) processes that carry `mark`."""
    want = f"{MARK}={mark}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            if want in Path("/proc", entry, "environ").read_bytes().split(
                    b"\0") and state(int(entry)) != "Z":
                found.append(int(entry))
        except OSError:
            continue
    return sorted(found)


def of_another(pid: int, mark: str) -> bool:
    """Whether a process belongs to another tree that a test started."""
    try:
        environ = Path("/proc", str(pid), "environ").read_bytes()
    except OSError:
        return False
    marks = [word for word in environ.split(b"\0")
             if word.startswith(f"{MARK}=".encode())]
    return bool(marks) and f"{MARK}={mark}".encode() not in marks


def listeners(port: int) -> list[int]:
    """Pids of the processes that listen at a TCP port of this machine."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and int(words[1].split(":")[1], 16) == port:
                inodes.add(f"socket:[{words[9]}]")
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
            if inodes & descriptors(pid)]


def descriptors(pid: int) -> set[str]:
    """What a process has open, as /proc names it."""
    found = set()
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            found.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    except OSError:
        pass
    return found


def state(pid: int) -> str:
    """The state letter of a process; '' when it is gone."""
    try:
        stat = Path("/proc", str(pid), "stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[0]


def command(pid: int) -> str:
    """A process's command line, or its name when that is empty."""
    try:
        line = Path("/proc", str(pid), "cmdline").read_bytes()
        name = Path("/proc", str(pid), "comm").read_text().strip()
    except OSError:
        return "gone"
    return line.replace(b"\0", b" ").decode(errors="replace").strip() or name


def program(pid: int) -> str:
    """The name of the file that a process executes; '' when it is gone."""
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return ""


def shared_memory(pids: list[int]) -> set[str]:
    """Paths below /dev/shm that these processes map or hold open."""
    paths: set[str] = set()
    for pid in pids:
        try:
            text = Path("/proc", str(pid), "maps").read_text(errors="replace")
            paths.update(re.findall(r"/dev/shm/\S+", text))
            for fd in os.listdir(f"/proc/{pid}/fd"):
                to = os.readlink(f"/proc/{pid}/fd/{fd}")
                if to.startswith("/dev/shm/"):
                    paths.add(to.removesuffix(" (deleted)"))
        except OSError:
            continue
    return paths


def wait_gone(mark: str, seconds: float) -> bool:
    """Waits until no marked process is left; False when time runs out."""
    end = time.monotonic() + seconds
    while marked(mark):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def kill_all(mark: str) -> None:
    """Kills every marked process, by pid, until none is left: children first,
    so that none sees its parent die and puts its things in order. What Open
    MPI had them share has no other to remove it."""
    end = time.monotonic() + 10
    shared = set()
    while (pids := marked(mark)) and time.monotonic() < end:
        for pid in reversed(pids):
            shared |= _shared_by_mpi(pid)
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        time.sleep(0.05)
    for path in shared:
        Path(path).unlink(missing_ok=True)


def _shared_by_mpi(pid: int) -> set[str]:
    """The files of shared memory that Open MPI has given a process."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return set()
    return set(re.findall(r"/dev/shm/vader_segment\.\S+", maps))


def die_with_parent() -> None:
    """For preexec_fn: this process is killed when the thread that started it
    ends, whatever ended that."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def clean_up_when_told() -> None:
    """TERM and HUP unwind as an exception does: `finally` has its turn."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
