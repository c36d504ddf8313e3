#!/usr/bin/env python3
"""A walk through everything a notebook user does with a cluster, each step
shown and checked. It uses nothing but the unmodified ipyparallel client (7.1
to the newest), so it runs against any cluster that has at least two engines:

    tests/walkthrough.py [--profile P | --profile-dir D] [--cluster-id C]

Exit status 0 when every step did what it should.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import socket
import sys
import time
import traceback
import warnings
from contextlib import redirect_stderr, redirect_stdout

warnings.filterwarnings("ignore")

import ipyparallel as ipp  # noqa: E402
from IPython.core.interactiveshell import InteractiveShell  # noqa: E402

WAIT = 60  # seconds that any one result may take


def check(condition: bool, what: str) -> None:
    """Shows one checked fact; raises AssertionError when it is not so."""
    print(f"   {'ok ' if condition else 'NOT'} {what}")
    assert condition, what


def plain(text: str) -> str:
    """`text` without terminal colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


class Walk:
    """The steps in order; each public method is one, its docstring its
    title."""

    def __init__(self, rc: ipp.Client) -> None:
        self.rc = rc
        self.dv = rc[:]
        self.dv.block = False
        self.n = len(rc.ids)
        self.shell = InteractiveShell.instance(colors="NoColor")
        self.shell.user_ns.update(ipp=ipp, rc=rc, dv=self.dv)

    def cell(self, code: str) -> str:
        """Runs a cell as a notebook would; returns what it showed."""
        print("".join(f"   In: {line}\n" for line in
                      code.strip().splitlines()), end="")
        out = io.StringIO()
        with redirect_stdout(out), redirect_stderr(out):
            result = self.shell.run_cell(code)
        text = plain(out.getvalue())
        print("".join(f"   | {line}\n" for line in text.splitlines()
                      if line.strip()), end="")
        self.error = result.error_before_exec or result.error_in_exec
        return text

    def printed(self, code: str, pattern: str) -> dict[int, str]:
        """Runs a cell until each engine's line was shown; by engine id.

        A client before 8.0 shows no output that comes before it listens,
        which it begins after it has sent the cell; later ones may show such
        output twice.
        """
        found: dict[int, str] = {}
        for _ in range(1 if ipp.version_info[0] >= 8 else 5):
            found.update(
                (int(label), text) for label, text in re.findall(
                    r"\[stdout:\s*(\d+)\]\s*" + pattern, self.cell(code)))
            if len(found) == self.n:
                break
        return found

    def ids(self) -> None:
        """rc.ids"""
        print(f"   rc.ids -> {self.rc.ids}")
        check(self.n >= 2, f"{self.n} engines")
        check(self.rc.ids == sorted(set(self.rc.ids)), "ids are in order")

    def apply(self) -> None:
        """rc[:].apply of a function that returns the pid"""
        def getpid():
            import os
            return os.getpid()

        pids = self.dv.apply_sync(getpid)
        print(f"   pids -> {pids}")
        hosts = self.dv.apply_sync(socket.gethostname)
        places = set(zip(hosts, pids))  # containers count from 1, each
        check(len(places) == self.n, "one process for each engine")
        check((socket.gethostname(), os.getpid()) not in places,
              "none of them is the client's")

    def magics(self) -> None:
        """%px, %%px, %%px --local: state stays, output is labelled"""
        view = self.rc[:]
        view.block = True
        view.activate()
        self.cell("%px import os, math")
        printed = self.printed("%%px\ncount = 20\nprint('I am', os.getpid())",
                               r"I am (\d+)")
        check(len(printed) == self.n,  # in containers pids may be alike
              "every engine printed its pid")
        check(set(printed) == set(self.rc.ids),
              "output is labelled by engine")
        self.cell("%px count = count + 1")
        text = self.cell("%px math.factorial(count)")
        check(text.count(str(51090942171709440000)) == self.n,
              "state stays between cells")
        text = self.cell("%%px --local\nanswer = 6 * 7\nprint(answer)")
        check(self.shell.user_ns.get("answer") == 42, "local has it, too")
        check(self.dv.pull("answer").get(WAIT) == [42] * self.n,
              "and so have the engines")

    def namespace(self) -> None:
        """dv['foo'] and dv['foo'] = 'bar'"""
        self.dv.block = True
        self.dv["foo"] = "bar"
        print(f"   dv['foo'] -> {self.dv['foo']}")
        check(self.dv["foo"] == ["bar"] * self.n, "set and read everywhere")
        self.dv.block = False

    def scatter_gather(self) -> None:
        """scatter, work on the chunks, gather"""
        ar = self.dv.scatter("user_id_chunk", range(1000))
        check(isinstance(ar, ipp.AsyncResult), "scatter is asynchronous")
        ar.get(WAIT)
        lengths = self.dv.apply(
            lambda c: len(c), ipp.Reference("user_id_chunk")).get(WAIT)
        maxima = self.dv.apply(
            lambda c: max(c), ipp.Reference("user_id_chunk")).get(WAIT)
        print(f"   lengths -> {lengths}, maxima -> {maxima}")
        check(sum(lengths) == 1000 and max(lengths) - min(lengths) <= 1,
              "even chunks")
        check(maxima == sorted(maxima) and maxima[-1] == 999,
              "in the engines' order")
        self.dv.execute("squares = [i * i for i in user_id_chunk]").get(WAIT)
        squares = self.dv.gather("squares").get(WAIT)
        check(squares == [i * i for i in range(1000)], "gathered in order")

    def balanced(self) -> None:
        """load balancing: @lview.parallel, @require, map of 100 urls"""
        lview = self.rc.load_balanced_view()

        @lview.parallel()
        @ipp.require("time", "random")
        def fetch(url):
            number = int(url.rsplit("/", 1)[1])
            random.seed(number)  # noqa: F821  required above
            # the slow pages stand together, as they do in life
            seconds = (0.12 if number < 25 else 0.004) * (
                0.5 + random.random())  # noqa: F821
            time.sleep(seconds)
            return url, len(url)

        urls = [f"https://example.com/page/{i}" for i in range(100)]
        start = time.perf_counter()
        pages = fetch.map(urls).get(WAIT)
        balanced = time.perf_counter() - start
        check(pages == [(url, len(url)) for url in urls],
              "100 pages, in order")

        def fetch_all(urls):
            import random
            import time
            for url in urls:
                number = int(url.rsplit("/", 1)[1])
                random.seed(number)
                time.sleep((0.12 if number < 25 else 0.004)
                           * (0.5 + random.random()))
            return len(urls)

        share = -(-len(urls) // self.n)
        start = time.perf_counter()
        done = self.dv.map(fetch_all, [urls[i * share:(i + 1) * share]
                                       for i in range(self.n)]).get(WAIT)
        naive = time.perf_counter() - start
        check(sum(done) == 100, "the naive split fetched them all")
        print(f"   balanced {balanced:.2f} s, naive split {naive:.2f} s")
        check(balanced < naive, "balancing was faster")

    def exceptions(self) -> None:
        """an exception comes back with its remote traceback"""
        def divide(a, b):
            return a / b

        try:
            self.rc[0].apply_sync(divide, 1, 0)
        except ipp.error.RemoteError as error:
            lines = plain("\n".join(error.render_traceback()))
            print("\n".join(f"   | {line}" for line in
                            lines.splitlines()[-4:]))
            check(error.ename == "ZeroDivisionError", "its class came back")
            check("divide" in lines and "a / b" in lines,
                  "with the remote traceback")
        else:
            check(False, "the exception was raised")
        try:
            self.dv.apply_sync(divide, 1, 0)
        except ipp.error.CompositeError as error:
            check(len(error.elist) == self.n, "one from each engine")
        else:
            check(False, "the exceptions were raised")
        self.cell("%px 1 / 0")
        check(self.error is not None, "%px raises, too")
        check(self.dv.apply_sync(divide, 6, 3) == [2] * self.n,
              "the engines go on")

    def waiting(self) -> None:
        """wait_interactive"""
        ar = self.rc.load_balanced_view().map(
            lambda i: __import__("time").sleep(0.02) or i, range(40))
        out = io.StringIO()
        with redirect_stdout(out), redirect_stderr(out):
            ar.wait_interactive(timeout=WAIT)
        last = re.split(r"[\r\n]+", out.getvalue().strip())[-1]
        print(f"   | {last}")
        check(ar.ready(), "returned when all was done")
        check("40/40" in out.getvalue(), "showed the progress")
        check(ar.get(WAIT) == list(range(40)), "the results are there")

    STEPS = (ids, apply, magics, namespace, scatter_gather, balanced,
             exceptions, waiting)

    def run(self) -> int:
        """Walks all steps; returns how many failed."""
        failed = 0
        for number, step in enumerate(self.STEPS, 1):
            print(f"\n{number}. {step.__doc__}")
            try:
                step(self)
            except Exception:
                failed += 1
                traceback.print_exc(file=sys.stdout)
        return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--profile", help="profile name (default: default)")
    parser.add_argument("--profile-dir", help="profile directory")
    parser.add_argument("--cluster-id", default="")
    parser.add_argument("-n", type=int, default=2,
                        help="wait for so many engines (default: 2)")
    args = parser.parse_args()
    where = {k: v for k, v in vars(args).items() if v and k != "n"}
    rc = ipp.Client(**where)
    rc.wait_for_engines(args.n, timeout=WAIT)
    print(f"ipyparallel {ipp.__version__}, Python "
          f"{sys.version.split()[0]}, {len(rc.ids)} engines")
    failed = Walk(rc).run()
    rc.close()
    total = len(Walk.STEPS)
    print(f"\nwalkthrough: {total - failed} of {total} steps passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    sys.exit(main())
