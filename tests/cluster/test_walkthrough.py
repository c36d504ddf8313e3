"""The walkthrough script, against a cluster of four engines."""

from __future__ import annotations

import subprocess
import sys

from harness import places


def test_walkthrough(cluster):
    done = subprocess.run(
        [sys.executable, str(places.TESTS / "walkthrough.py"),
         "--profile-dir", str(cluster.profile_dir), "-n", "4"],
        env=cluster.env, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=100)
    print(done.stdout, done.stderr)
    assert done.returncode == 0
