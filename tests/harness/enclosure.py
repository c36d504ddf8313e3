"""A test in namespaces of its own: processes, mounts, network, host name.

Whatever ends the test, SIGKILL included, all that it started ends with it,
and what it mounted is gone; its names and ports are nobody else's. Nodes are
further network namespaces in there, joined by a bridge. Needs root and ip(8).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from .processes import die_with_parent

#: An empty file system, seen by nobody outside.
ROOM = Path("/mnt")

CLONE_NEWNS, CLONE_NEWUTS = 0x00020000, 0x04000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def enter(host: str, nodes: tuple[str, ...] = ()) -> None:
    """Goes on in there, as a child of this process, which passes signals on
    and ends as the child does. OSError: no namespaces for us.

    host:  the host name in there
    nodes: names of nodes that will be connected
    """
    flags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNET
    if ctypes.CDLL(None, use_errno=True).unshare(flags) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    sys.stdout.flush()
    die_with_parent()
    _fork()  # into the namespace of processes, where the child is number 1
    die_with_parent()
    _fork()  # number 1 takes care of orphans, the child goes on
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    _furnish(host, nodes)


def _fork() -> None:
    """Returns in the child. The parent waits for it, and for whoever else
    becomes a child of it, and ends as it did."""
    child = os.fork()
    if child == 0:
        return

    def pass_on(number, frame) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    for number in SIGNALS:
        signal.signal(number, pass_on)
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _furnish(host: str, nodes: tuple[str, ...]) -> None:
    socket.sethostname(host)
    _run("mount", "--make-rprivate", "/")
    _run("mount", "-t", "proc", "proc", "/proc")
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", ROOM)
    hosts = ROOM / "hosts"
    hosts.write_text("127.0.0.1 localhost\n" + "".join(
        f"{_address(number)} {name}\n"
        for number, name in enumerate((host, *nodes))))
    _run("mount", "--bind", hosts, "/etc/hosts")
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "link", "add", "bridge", "type", "bridge")
    _run("ip", "addr", "add", f"{_address(0)}/24", "dev", "bridge")
    _run("ip", "link", "set", "bridge", "up")


def connect(number: int, process: subprocess.Popen,
            seconds: float = 10.0) -> None:
    """Gives the node of this number (from 0) its network.

    process: one that is about to enter a network namespace of its own
    """
    ours, end = os.readlink("/proc/self/ns/net"), time.monotonic() + seconds
    while os.readlink(f"/proc/{process.pid}/ns/net") == ours:
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError("the node has no network of its own")
        time.sleep(0.01)
    link, inside = f"node{number}", ("nsenter", "-n", "-t", process.pid)
    _run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0",
         "netns", process.pid)
    _run("ip", "link", "set", link, "master", "bridge", "up")
    _run(*inside, "ip", "link", "set", "lo", "up")
    _run(*inside, "ip", "addr", "add", f"{_address(number + 1)}/24", "dev",
         "eth0")
    _run(*inside, "ip", "link", "set", "eth0", "up")


def _address(number: int) -> str:
    return f"10.77.0.{number + 1}"


def _run(*words) -> None:
    subprocess.run([str(word) for word in words], check=True,
                   stdin=subprocess.DEVNULL)
