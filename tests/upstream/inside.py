"""One of upstream's unit-test modules, run by pytest inside an engine:

    PYTHON tests/upstream/inside.py MODULE --outcomes=FILE

The engine's namespace, main thread and serialization are then what the tests
see. Upstream's own engines cannot do this: its fixtures end every ZMQ
context of the process, and its engines live by theirs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import ipyparallel as ipp  # noqa: E402
from harness.cluster import Cluster  # noqa: E402

SECONDS = 300


@ipp.interactive
def run_pytest(tests: str, arguments: list[str]) -> int:
    """On the engine: pytest's exit status."""
    import sys

    import pytest
    sys.path.insert(0, tests)
    return int(pytest.main(arguments))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("module")
    parser.add_argument("--outcomes", required=True)
    args = parser.parse_args()
    tests = str(Path(__file__).resolve().parent.parent)
    with Cluster(1) as cluster:
        rc = ipp.Client(profile_dir=str(cluster.profile_dir))
        rc.wait_for_engines(1, timeout=30)
        ar = rc[0].apply_async(run_pytest, tests, [
            "-p", "harness.outcomes", f"--outcomes={args.outcomes}",
            "-p", "no:cacheprovider", "--capture=no", "-v",
            "--disable-warnings", "--pyargs",
            f"ipyparallel.tests.{args.module}"])
        status = ar.get(SECONDS)
        print(ar.stdout, ar.stderr)
        rc.close()
    return status


if __name__ == "__main__":
    sys.exit(main())
