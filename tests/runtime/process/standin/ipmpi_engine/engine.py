"""An engine's life without MPI: it tells its nanny that it has joined, writes
down what it finds itself to be in $STANDIN_DIR/rank.N, and leaves when
$STANDIN_DIR/leave.N appears (its number is the exit code), or when its nanny
says so or goes."""

import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time

HEAD = struct.Struct("=Iii4x")
JOINED, LEAVING, TERMINATE = 1, 2, 3


def main():
    """Runs to the end; returns the exit code."""
    where = os.environ["STANDIN_DIR"]
    rank = int(os.environ["OMPI_COMM_WORLD_RANK"])
    if os.environ.get("STANDIN_DIE_EARLY") == str(rank):
        return 7
    link = socket.socket(fileno=int(os.environ["IPMPI_LINK_FD"]))
    link.set_inheritable(False)
    address = _await_file(f"{where}/address")
    account = _account(begun=40 + rank)
    socket.send_fds(link, [HEAD.pack(JOINED, rank, 0) + address], [account])
    os.close(account)
    if os.environ.get("STANDIN_DIE_JOINED") == str(rank):
        os.kill(os.getpid(), signal.SIGKILL)
    _write(f"{where}/rank.{rank}", json.dumps(_facts()))
    deaf = os.environ.get("STANDIN_DEAF")
    if deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    code = None
    while code is None or deaf:
        readable, _, _ = select.select([link], [], [], 0.02)
        if readable:
            packet = link.recv(4096)
            if not packet:
                os._exit(1)
            if HEAD.unpack_from(packet)[0] == TERMINATE and not deaf:
                _write(f"{where}/told.{rank}", "")
                code = 0
        if os.path.exists(f"{where}/leave.{rank}"):
            code = int(open(f"{where}/leave.{rank}").read() or 0)
    link.send(HEAD.pack(LEAVING, rank, code) + bytes(len(address)))
    return code


def _account(begun):
    """A file as runtime/process/account.c has it, with one work begun."""
    magic = 0x69706d70692d6163
    fd = os.memfd_create("account")
    os.write(fd, struct.pack("=36Q", magic, 1, begun, *[0] * 32, magic))
    return fd


def _facts():
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "group": os.getpgrp(),
        "argv": sys.argv,
        "executable": sys.executable,
        "prefix": sys.prefix,
        "version": list(sys.version_info[:2]),
        "cwd": os.getcwd(),
        "environment": dict(os.environ),
        "affinity": sorted(os.sched_getaffinity(0)),
        "umask": _umask(),
        "nofile": resource.getrlimit(resource.RLIMIT_NOFILE),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "fds": _open_fds(),
        "signals": {line.split(":")[0]: line.split()[1]
                    for line in open("/proc/self/status")
                    if line.startswith("Sig")},
    }


def _open_fds():
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[int(fd)] = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:  # that of the listing itself
            pass
    return found


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _await_file(path, seconds=20.0):
    end = time.monotonic() + seconds
    while not os.path.exists(path):
        if time.monotonic() > end:
            raise TimeoutError(path)
        time.sleep(0.01)
    with open(path, "rb") as file:
        return file.read()


def _write(path, text):
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)
