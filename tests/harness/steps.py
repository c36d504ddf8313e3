"""Running one command of a test run: under a time limit, in a process group
of its own, with its output shown or kept, and counted."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

from . import processes


@dataclasses.dataclass
class Result:
    """What a step came to. `counts` has passed, failed, skipped."""

    name: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    failures: list[str] = dataclasses.field(default_factory=list)
    note: str = ""

    def line(self) -> str:
        text = (f"{self.name:<24}{self.passed:>6} passed"
                f"{self.failed:>6} failed{self.skipped:>6} skipped"
                f"{self.seconds:>9.1f} s")
        return f"{text}  {self.note}" if self.note else text


def run(command: list, *, seconds: float, log: Path | None = None,
        cwd: Path | None = None, env: dict | None = None) -> int | None:
    """Runs a command; returns its exit status, or None when its time ran out.

    Its output goes to `log`, or to our own. Whatever it started is gone when
    this returns: processes are known by a mark in their environment.
    """
    mark = uuid.uuid4().hex
    env = dict(os.environ if env is None else env, **{processes.MARK: mark})
    out = open(log, "wb") if log else None
    child = subprocess.Popen(
        [str(word) for word in command], stdin=subprocess.DEVNULL, cwd=cwd,
        env=env, stdout=out, stderr=subprocess.STDOUT if out else None,
        start_new_session=True)
    try:
        return child.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return None
    except BaseException:
        child.send_signal(signal.SIGINT)
        raise
    finally:
        if child.poll() is None or processes.marked(mark):
            processes.kill_all(mark)
        child.wait()
        if out:
            out.close()


def run_once(name: str, command: list, *, seconds: float, log: Path,
             cwd: Path | None = None, env: dict | None = None) -> Result:
    """A step that is one thing that works or does not."""
    say(f"{name}: {' '.join(str(word) for word in command)}")
    start = time.monotonic()
    status = run(command, seconds=seconds, log=log, cwd=cwd, env=env)
    result = Result(name, seconds=time.monotonic() - start)
    if status == 0:
        result.passed = 1
        return result
    result.failed = 1
    why = (f"no end after {seconds:.0f} s" if status is None
           else f"exit status {status}")
    result.failures.append(f"{name}: {why}")
    show_tail(log)
    return result


def show_tail(log: Path, lines: int = 60) -> None:
    """Prints the end of a log."""
    try:
        text = log.read_text(errors="replace").splitlines()
    except OSError:
        return
    print("\n".join(f"    {line}" for line in text[-lines:]), flush=True)


def say(text: str) -> None:
    """A line of progress, with the time."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)
    sys.stdout.flush()
