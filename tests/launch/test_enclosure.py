"""What an enclosure leaves behind when the test in it is ended: nothing.

    PYTHON tests/launch/test_enclosure.py
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))
sys.dont_write_bytecode = True

from harness import processes  # noqa: E402

INSIDE = """
import os, socket, subprocess, sys, time
sys.path.insert(0, sys.argv[1])
from harness import enclosure
enclosure.enter("inside", ("n1",))
(enclosure.ROOM / "mine").touch()
subprocess.Popen(["setsid", "sleep", "1000"])  # an orphan, once we are gone
print(socket.gethostname(), os.getpid(), socket.gethostbyname("n1"),
      flush=True)
time.sleep(1000)
"""


def ends_with_all(number: int) -> int:
    """The exit status of an enclosed test after a signal."""
    mark = uuid.uuid4().hex
    inside = subprocess.Popen(
        [sys.executable, "-c", INSIDE, TESTS], text=True,
        env={**os.environ, processes.MARK: mark}, stdout=subprocess.PIPE)
    try:
        assert inside.stdout.readline() == "inside 2 10.77.0.2\n"
        assert len(processes.marked(mark)) == 4
        inside.send_signal(number)
        status = inside.wait(10)
        assert processes.wait_gone(mark, 10)
    finally:
        processes.kill_all(mark)
    assert socket.gethostname() != "inside"
    assert not Path("/mnt/mine").exists()
    return status


def main() -> int:
    if subprocess.call(["unshare", "-m", "-u", "-n", "-p", "true"],
                       stderr=subprocess.DEVNULL) != 0:
        print("skipped: no namespaces for us here")
        return 77
    assert ends_with_all(signal.SIGKILL) == -signal.SIGKILL
    assert ends_with_all(signal.SIGTERM) == 128 + signal.SIGTERM
    return 0


if __name__ == "__main__":
    sys.exit(main())
