"""A whole life of an engine, in a process of its own: ipmpi_engine.engine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PATHS = [str(HERE), str(HERE.parents[2] / "runtime" / "python")]

SCRIPT = """
import json, os, sys
sys.path[:0] = {paths!r}
import fake_ipmpi as fake
{before}
for code in {cells!r}:
    fake.feed("execute_request", {{"code": code}})
def on_reply(ref):
    if not fake.waiting:
        fake.request_stop(1)
fake.on_reply = on_reply if {stop} else None
from ipmpi_engine import engine
if {zygote}:
    from ipmpi_engine import preload
    preload.prepare()
    assert len(os.listdir("/proc/self/task")) == 1
    pid = os.fork()
    if pid:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
code = engine.main()
with open(sys.argv[1], "w") as out:
    json.dump({{"code": code, "log": fake.log,
               "replies": [[r.status, r.content] for r in
                           fake.replies.values()],
               "streams": [m.content for m in fake.published
                           if m.msg_type == "stream"]}}, out)
"""


def live(tmp_path, cells, before="", zygote=False, stop=True, options=None,
         **env):
    """Runs an engine until it has answered `cells`; returns its record and
    what it wrote to stderr."""
    script = SCRIPT.format(paths=PATHS, cells=cells, before=before,
                           zygote=zygote, stop=stop)
    out = tmp_path / "out.json"
    done = subprocess.run(
        [sys.executable, "-c", script, str(out)], timeout=60,
        capture_output=True, text=True,
        env={**os.environ, "IPYTHONDIR": str(tmp_path / "ipython"),
             "IPMPI_ENGINE_OPTIONS": json.dumps(options or {}), **env})
    assert out.exists(), done.stderr
    return json.loads(out.read_text()), done


@pytest.mark.parametrize("zygote", [False, True])
def test_life(tmp_path, zygote):
    record, done = live(tmp_path, ["a = 1", "print(a)"], zygote=zygote)
    assert record["code"] == 0
    assert record["log"] == ["join", "ready", "leave"]
    assert [status for status, _ in record["replies"]] == [0, 0]
    assert "".join(one["text"] for one in record["streams"]) == "1\n"
    assert done.returncode == 0


@pytest.mark.parametrize("code", ["exit", "quit()",
                                  "import os, signal; "
                                  "os.kill(os.getpid(), signal.SIGTERM)"])
def test_ways_to_end(tmp_path, code):
    record, _ = live(tmp_path, [code], stop=False)
    assert record["log"][-1] == "leave"
    assert len(record["replies"]) == 1


def test_background_tasks_and_atexit_end_before_leaving(tmp_path):
    record, _ = live(tmp_path, [
        "import atexit, asyncio, fake_ipmpi\n"
        "async def wait():\n"
        "    try:\n"
        "        await asyncio.sleep(60)\n"
        "    finally:\n"
        "        fake_ipmpi.log.append('cancelled')\n"
        "task = asyncio.ensure_future(wait())\n"
        "atexit.register(fake_ipmpi.log.append, 'atexit')",
        "await asyncio.sleep(0)"])
    assert record["log"] == ["join", "ready", "cancelled", "atexit", "leave"]


def test_startup_code(tmp_path):
    profile = tmp_path / "ipython" / "profile_x"
    (profile / "startup").mkdir(parents=True)
    (profile / "startup" / "10.py").write_text("order.append('file')")
    (profile / "ipengine_config.py").write_text(
        "c = get_config()\n"
        "c.IPKernelApp.exec_lines = ['order.append(\"config\")']\n"
        "c.IPEngine.startup_command = 'order.append(\"command\")'\n"
        "c.InteractiveShell.cache_size = 77\n")
    script = tmp_path / "script.py"
    script.write_text("order.append('script')\nprint('from script')")
    first = tmp_path / "first.py"
    first.write_text("order = ['first']")
    record, done = live(
        tmp_path, ["print(*order, get_ipython().cache_size)"],
        options={"profile_dir": str(profile), "colors": "nocolor",
                 "exec_lines": ["order.append('line')", "1/0"],
                 "exec_files": [str(script)]},
        PYTHONSTARTUP=str(first))
    assert "".join(one["text"] for one in record["streams"]) == (
        "first file config command line script 77\n")
    assert "from script" in done.stdout
    assert "ZeroDivisionError" in done.stderr
    assert "\x1b[" not in done.stderr


def test_crash_in_startup_ends_the_process(tmp_path):
    crash = tmp_path / "crash.py"
    crash.write_text("import os; os._exit(5)")
    with pytest.raises(AssertionError):
        live(tmp_path, [], PYTHONSTARTUP=str(crash))


def test_engines_of_one_zygote_differ(tmp_path):
    cell = "import random; print(random.random())"
    seen = {live(tmp_path, [cell], "import random; random.seed(1)",
                 zygote=True)[0]["streams"][0]["text"] for _ in range(2)}
    assert len(seen) == 2


def test_failure_to_join_is_told(tmp_path):
    record, done = live(tmp_path, [], """
def join():
    raise RuntimeError("no rank 0 anywhere")
fake.join = join
""")
    assert record["code"] == 1
    assert "no rank 0 anywhere" in done.stderr


def test_missing_package_is_told(tmp_path):
    record, done = live(tmp_path, [], "sys.modules['ipyparallel'] = None")
    assert record["code"] == 1
    assert "ipyparallel and ipykernel" in done.stderr


def test_without_mpi4py(tmp_path):
    record, _ = live(tmp_path, ["print('MPI' in globals())"],
                     "sys.modules['mpi4py'] = None")
    assert record["streams"][0]["text"] == "False"


def test_late_mpi4py_is_bound_as_it_loads(tmp_path):
    """mpi4py that is not there at the start, in the form of a stand-in."""
    package = tmp_path / "late" / "mpi4py"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "class rc:\n    initialize = finalize = True\n")
    (package / "MPI.py").write_text(
        "from mpi4py import rc\nSEEN = rc.initialize, rc.finalize\n")
    cells = ["import sys; del sys.modules['mpi4py']; "
             f"sys.path.insert(0, {str(package.parent)!r})",
             "import ipmpi_engine.mpi as binding\n"
             "binding._rebind = lambda MPI, handle: print(MPI.SEEN, handle)",
             "from mpi4py import MPI; from mpi4py.MPI import SEEN",
             "print(any(isinstance(one, binding._Finder) "
             "for one in sys.meta_path))"]
    record, _ = live(tmp_path, cells, "sys.modules['mpi4py'] = None\n"
                                      "fake.user_world = 99")
    text = "".join(one["text"] for one in record["streams"])
    assert text == "(False, False) 99\nFalse\n"


def test_stdin_is_empty(tmp_path):
    record, _ = live(tmp_path, ["import sys; print(repr(sys.stdin.read()))"])
    assert record["streams"][0]["text"] == "''"


def test_names_of_a_dask_worker_survive(tmp_path):
    """What become_dask_worker does, with a stand-in for distributed."""
    stand_in = """
import types
class Worker:
    def __init__(self, address, **kwargs):
        self.address = address
    async def start(self):
        import asyncio
        await asyncio.sleep(0)
        self.started = True
sys.modules["distributed"] = types.SimpleNamespace(Worker=Worker, Nanny=Worker)
"""
    record, _ = live(tmp_path, [
        "from ipyparallel.util import become_dask_worker as b; b('tcp://x')",
        "import asyncio; await asyncio.sleep(0.05)",
        "print(dask_worker.started, distributed_worker is "
        "get_ipython().kernel.distributed_worker)"], stand_in)
    text = "".join(one["text"] for one in record["streams"])
    assert text == "True True\n"
