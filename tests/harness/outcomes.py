"""A pytest plugin that writes each test's outcome to a file as it comes.

One JSON object a line: {"collected": [nodeid, ...]} once, then
{"test": nodeid, "outcome": "passed|failed|skipped|xfailed|xpassed",
"seconds": float, "reason": str} for each test. A reader that finds the file
cut short knows which tests were left: `read` calls those failed, so a run
that was killed can not pass.

Loaded by tests/harness/run_pytest.py with --outcomes=FILE.
"""

from __future__ import annotations

import json
from pathlib import Path


def pytest_addoption(parser) -> None:
    parser.addoption("--outcomes", metavar="FILE",
                     help="write each test's outcome to FILE as JSON lines")


def pytest_configure(config) -> None:
    path = config.getoption("--outcomes")
    if path:
        config.pluginmanager.register(Writer(Path(path)), "ipmpi-outcomes")


class Writer:
    """Collects the phases of each test into one line."""

    def __init__(self, path: Path) -> None:
        self.file = open(path, "w", encoding="utf-8")
        self.phases: dict[str, list] = {}

    def write(self, record: dict) -> None:
        self.file.write(json.dumps(record) + "\n")
        self.file.flush()

    def pytest_collection_finish(self, session) -> None:
        self.write({"collected": [item.nodeid for item in session.items]})

    def pytest_collectreport(self, report) -> None:
        if report.failed:
            self.write({"test": f"{report.nodeid} (collection)",
                        "outcome": "failed", "seconds": 0.0,
                        "reason": str(report.longrepr)[-2000:]})
        elif report.skipped:
            self.write({"test": f"{report.nodeid} (collection)",
                        "outcome": "skipped", "seconds": 0.0,
                        "reason": skip_reason(report)})

    def pytest_runtest_logreport(self, report) -> None:
        phases = self.phases.setdefault(report.nodeid, [])
        phases.append(report)
        if report.when != "teardown":
            return
        del self.phases[report.nodeid]
        outcome, reason = judge(phases)
        self.write({"test": report.nodeid, "outcome": outcome,
                    "seconds": round(sum(p.duration for p in phases), 3),
                    "reason": reason})

    def pytest_unconfigure(self) -> None:
        self.file.close()


def judge(phases: list) -> tuple[str, str]:
    """One outcome and its reason from set-up, call and tear-down."""
    for phase in phases:
        if phase.failed:
            return "failed", str(phase.longrepr)[-2000:]
    for phase in phases:
        if phase.skipped and hasattr(phase, "wasxfail"):
            return "xfailed", phase.wasxfail
        if phase.skipped:
            return "skipped", skip_reason(phase)
    if any(hasattr(phase, "wasxfail") for phase in phases):
        return "xpassed", ""
    return "passed", ""


def skip_reason(report) -> str:
    """The text that was given to skip()."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(report.longrepr)


def read(path: Path) -> list[dict]:
    """All outcomes in `path`; tests that never came to an end are failed."""
    collected: list[str] = []
    done: dict[str, dict] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        record = json.loads(line)
        if "collected" in record:
            collected = record["collected"]
        else:
            done[record["test"]] = record
    for test in collected:
        done.setdefault(test, {"test": test, "outcome": "failed",
                               "seconds": 0.0,
                               "reason": "did not come to its end"})
    return list(done.values())
