"""tests/run, once Debian's packages are there: configures, builds, and runs
the C tests, the whole-cluster tests and upstream's own suites with both
clients; counts everything at the end."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import sys
import time
import xml.etree.ElementTree as xml
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness import outcomes, places, steps  # noqa: E402
from harness.steps import Result  # noqa: E402

JOBS = str((os.cpu_count() or 1) + 1)
SANITIZERS = ("asan", "tsan")

#: Time limits in seconds. Generous: a shared two-core machine is slow.
CONFIGURE, BUILD, VENV = 300, 1200, 900
QUICKSTART = 900
CTEST, CLUSTER, UPSTREAM = 1200, 1500, 1800
LONG = 3600


class Run:
    """One test run: what was asked for, where it logs, what it counted."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.build = places.BUILD
        for name in SANITIZERS:
            if getattr(args, name):
                self.build = places.SOURCE / f"build-{name}"
        self.logs = self.build / "test-logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.results: list[Result] = []

    # -- preparation: each must work before the tests can ------------------

    def configure(self) -> Result:
        flags = [f"-DIPMPI_{name.upper()}=ON" for name in SANITIZERS
                 if getattr(self.args, name)]
        return steps.run_once(
            "configure", ["cmake", "-S", places.SOURCE, "-B", self.build,
                          *flags],
            seconds=CONFIGURE, log=self.logs / "configure.log")

    def compile(self) -> Result:
        return steps.run_once(
            "build", ["cmake", "--build", self.build, "-j", JOBS],
            seconds=BUILD, log=self.logs / "build.log")

    def venv(self, where: Path = places.VENV,
             packages: list[str] = places.VENV_PACKAGES) -> Result:
        """An environment, the newest client's unless another is asked for;
        made once for a package list."""
        stamp = where / "packages"
        want = "\n".join(packages)
        if stamp.exists() and stamp.read_text() == want:
            return Result("environment", passed=1)
        made = steps.run_once(
            "environment", [places.DEBIAN_PYTHON, "-m", "venv", "--clear",
                            where],
            seconds=VENV, log=self.logs / "venv.log")
        if made.failed:
            return made
        made = steps.run_once(
            "environment", [where / "bin" / "python", "-m", "pip", "install",
                            "--retries", "5", "--quiet", *packages],
            seconds=VENV, log=self.logs / "pip.log")
        if not made.failed:
            stamp.write_text(want)
        return made

    # -- tests -------------------------------------------------------------

    def ctest(self, name: str = "ctest", *labels: str) -> Result:
        """The C tests, or those of some labels."""
        report = self.logs / f"{name}.xml"
        report.unlink(missing_ok=True)
        if not labels:
            labels = ("-LE", "launch|containers" if self.args.long
                      else "slow")
        steps.say(f"{name}: tests of CMake")
        start = time.monotonic()
        # the thread sanitizer wants the addresses that it knows
        fixed = ["setarch", "-R"] if self.args.tsan else []
        status = steps.run(
            [*fixed, "ctest", "--test-dir", self.build, "-j", "2",
             "--output-on-failure", "--output-junit", report, *labels],
            seconds=LONG if self.args.long else CTEST,
            log=self.logs / f"{name}.log")
        result = count_junit(name, report)
        result.seconds = time.monotonic() - start
        if status != 0:
            if not result.failed:
                fail(result, f"{name}: {told(status)}")
            steps.show_tail(self.logs / f"{name}.log")
        return result

    def launch(self) -> Result:
        """Jobs over nodes in namespaces, by list and by Marathon's stand-in;
        and the stand-in under clients of others."""
        made = self.venv(places.MARATHON_VENV, places.MARATHON_PACKAGES)
        return made if made.failed else self.ctest("launch", "-L", "launch")

    def containers(self) -> Result:
        """The image, and jobs in real containers, where a Docker engine is;
        elsewhere its tests count as skipped."""
        engine = steps.run(["docker", "info"], seconds=60,
                           log=self.logs / "docker.log") \
            if shutil.which("docker") else None
        if engine == 0:
            made = steps.run_once(
                "containers", [places.SOURCE / "containers" / "build"],
                seconds=BUILD, log=self.logs / "image.log")
            if made.failed:
                return made
        return self.ctest("containers", "-L", "containers")

    def quickstart(self) -> Result:
        """The README's first command, on this tree."""
        return steps.run_once(
            "quickstart", [places.SOURCE / "launch" / "quickstart"],
            seconds=QUICKSTART, log=self.logs / "quickstart.log")

    def cluster(self, client: str) -> Result:
        """tests/cluster with one of the clients."""
        name = f"cluster-{client}"
        found = self.logs / f"{name}.jsonl"
        found.unlink(missing_ok=True)
        steps.say(f"whole-cluster tests with client {client}")
        start = time.monotonic()
        skip = "not long" if client == "9" else "not long and not once"
        select = [] if self.args.long else ["-m", skip]
        status = steps.run(
            [places.PYTHONS[client], "-B",
             places.TESTS / "harness" / "run_pytest.py",
             places.TESTS / "cluster", f"--cluster={self.args.cluster}",
             f"--outcomes={found}", "-q", "-rfE", "--tb=short",
             "--disable-warnings", *select],
            seconds=LONG if self.args.long else CLUSTER, cwd=places.SOURCE,
            env=places.environment_for(places.PYTHONS[client]))
        result = count_outcomes(name, outcomes.read(found))
        result.seconds = time.monotonic() - start
        if status != 0 and not result.failed:
            fail(result, f"{name}: {told(status)}")
        return result

    def upstream(self, client: str) -> Result:
        """ipyparallel's own suites with one of the clients."""
        name = f"upstream-{client}"
        found = self.logs / f"{name}.json"
        found.unlink(missing_ok=True)
        steps.say(f"upstream's suites with client {client}")
        start = time.monotonic()
        status = steps.run(
            [places.DEBIAN_PYTHON, "-B", places.TESTS / "upstream" / "run",
             f"--client={client}", f"--cluster={self.args.cluster}",
             f"--json={found}"], seconds=UPSTREAM)
        result = Result(name)
        if found.exists():
            result = Result(**json.loads(found.read_text())["total"])
        result.seconds = time.monotonic() - start
        if status != 0 and not result.failed:
            fail(result, f"{name}: {told(status)}")
        return result

    def examples(self) -> Result:
        """The examples of upstream's documentation."""
        return steps.run_once(
            "examples", [places.TESTS / "upstream" / "examples",
                         f"--cluster={self.args.cluster}"],
            seconds=LONG, log=self.logs / "examples.log")

    # -- the whole ---------------------------------------------------------

    def tests(self) -> dict:
        """Name -> function of each group of tests, in order."""
        groups = {"ctest": self.ctest}
        if not (self.args.asan or self.args.tsan):
            groups["quickstart"] = self.quickstart
            groups["launch"] = self.launch
            for client in places.PYTHONS:
                groups[f"cluster-{client}"] = (
                    lambda c=client: self.cluster(c))
            for client in places.PYTHONS:
                groups[f"upstream-{client}"] = (
                    lambda c=client: self.upstream(c))
            if self.args.long:
                groups["examples"] = self.examples
            if self.args.long or self.args.only:
                groups["containers"] = self.containers
        return groups

    def run(self) -> bool:
        """Everything that was asked for; True if nothing failed."""
        groups = self.tests()
        if self.args.only:
            groups = {name: do for name, do in groups.items()
                      if any(name.startswith(o) for o in self.args.only)}
            if not groups:
                sys.exit(f"tests/run: no group {self.args.only}; there are: "
                         + " ".join(self.tests()))
        with open(self.build / ".setup.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            prepare = [self.configure, self.compile]
            if any(name.endswith("-9") or name == "examples"
                   for name in groups):
                prepare.append(self.venv)
            for do in prepare:
                result = do()
                if result.failed:
                    self.results.append(result)
                    return False
        for name, do in groups.items():
            result = do()
            steps.say(result.line())
            self.results.append(result)
        return not any(result.failed for result in self.results)


def told(status: int | None) -> str:
    return "ran out of time" if status is None else f"exit status {status}"


def fail(result: Result, why: str) -> None:
    result.failed += 1
    result.failures.append(why)


def count_junit(name: str, path: Path) -> Result:
    """ctest's report: one element a test, its status in an attribute."""
    result = Result(name)
    if not path.exists():
        return result
    for case in xml.parse(path).getroot().iter("testcase"):
        status = case.get("status")
        if status == "run":
            result.passed += 1
        elif status in ("notrun", "disabled") and case.find(
                "skipped") is not None:
            result.skipped += 1
        else:
            fail(result, f"{name}: {case.get('name')}")
    return result


def count_outcomes(name: str, tests: list[dict]) -> Result:
    """The plugin's report; no whole-cluster test may be skipped."""
    result = Result(name)
    for test in tests:
        if test["outcome"] in ("passed", "xpassed", "xfailed"):
            result.passed += 1
        else:
            fail(result, f"{name}: {test['test']}: {test['outcome']}")
    return result


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests/run", description="Installs what is missing, builds, and "
        "runs all tests; the last line is the sum.")
    parser.add_argument("--only", action="append", metavar="NAME",
                        help="only the groups whose names start so: ctest, "
                        "quickstart, launch, cluster-7, cluster-9, upstream-7, "
                        "upstream-9, containers (with --long by itself)")
    parser.add_argument("--asan", action="store_true",
                        help="the C tests, with address and undefined-"
                        "behaviour sanitizers (in build-asan)")
    parser.add_argument("--tsan", action="store_true",
                        help="the C tests, with the thread sanitizer "
                        "(in build-tsan)")
    parser.add_argument("--long", action="store_true",
                        help="the slow tests, too")
    parser.add_argument("--cluster", choices=("ipmpi", "upstream"),
                        default="ipmpi", help="run the Python tests against "
                        "upstream's own cluster, to judge the tests")
    parser.add_argument("--json", metavar="FILE", type=Path,
                        help="write the counts to FILE")
    args = parser.parse_args()
    if args.asan and args.tsan:
        parser.error("one sanitizer at a time")
    return args


def main() -> int:
    args = parse()
    whole = Run(args)
    start = time.monotonic()
    good = whole.run()
    passed = sum(r.passed for r in whole.results)
    failed = sum(r.failed for r in whole.results)
    skipped = sum(r.skipped for r in whole.results)
    print()
    for result in whole.results:
        print(result.line())
    for result in whole.results:
        for failure in result.failures:
            print(f"FAILED {failure}")
    if args.json:
        args.json.write_text(json.dumps({
            "passed": passed, "failed": failed, "skipped": skipped,
            "seconds": round(time.monotonic() - start, 1),
            "groups": [vars(r) for r in whole.results]}, indent=2) + "\n")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
