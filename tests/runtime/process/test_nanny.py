"""Nannies, their zygote and their ranks: starts, ends and sudden ends."""

import json
import os
import signal
import socket
import subprocess
import time

import pytest

from conftest import install, interpreters, is_alive, wait_for

SANITIZERS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE)
"""Caught in builds with a sanitizer."""

START = pytest.mark.parametrize("options", [(), ("--no-zygote",)],
                                ids=["zygote", "direct"])


def run(job):
    """Starts all and waits for the engines."""
    job.start()
    return [job.facts(rank) for rank in range(1, job.size)]


@START
def test_a_job_starts_and_leaves(make_job, options):
    with make_job(4, *options) as job:
        facts = run(job)
        assert len({fact["pid"] for fact in facts}) == 3
        parents = {fact["parent"] for fact in facts}
        assert len(parents) == (3 if options else 1)
        job.ask_to_leave()
        assert job.codes() == [0, 0, 0, 0]
        wait_for(lambda: not job.processes(), "all processes to end")
        assert job.errors() == ""
        assert job.notices() == []


def test_one_engine_is_started_directly(make_job):
    with make_job(2) as job:
        fact, = run(job)
        assert fact["parent"] == job.nannies[1].pid
        job.ask_to_leave()
        assert job.codes() == [0, 0]


def test_rank_0_alone_needs_no_python(make_job):
    with make_job(1, env={"PATH": "/nonexistent", "VIRTUAL_ENV": None}) as job:
        job.start()
        job.controller()
        job.ask_to_leave()
        assert job.codes() == [0]


@START
def test_exit_codes_are_passed_on(make_job, options):
    with make_job(3, *options) as job:
        run(job)
        job.ask_to_leave(1, code=0)
        job.ask_to_leave(2, code=5)
        job.ask_to_leave(0, code=6)
        assert job.codes() == [6, 0, 5]


@START
def test_a_killed_engine_is_reported_and_mourned(make_job, options):
    with make_job(4, *options) as job:
        facts = run(job)
        os.kill(facts[1]["pid"], signal.SIGKILL)
        wait_for(job.notices, "a notice")
        assert job.notices() == [(2, facts[1]["pid"], signal.SIGKILL,
                                  socket.gethostname())]
        assert job.accounts() == [(1, 1, 42)]  # counted; work 42 of rank 2
        assert job.nannies[2].poll() is None
        assert is_alive(facts[0]["pid"]) and is_alive(facts[2]["pid"])
        job.ask_to_leave(0, 1, 3)
        assert job.codes(seconds=8) == [0, 0, 0, 0]
        assert len(job.notices()) == 1


@START
def test_an_engine_that_exits_is_reported(make_job, options):
    """Not having said that it leaves, whatever its code."""
    with make_job(3, *options) as job:
        facts = run(job)
        os.kill(facts[0]["pid"], signal.SIGABRT)
        wait_for(job.notices, "a notice")
        status = job.notices()[0][2]
        assert os.WTERMSIG(status) == signal.SIGABRT
        job.nannies[1].terminate()
        assert job.codes(1, seconds=5) == [0]


@START
def test_an_engine_that_dies_before_joining_ends_the_job(make_job, options):
    with make_job(3, *options, env={"STANDIN_DIE_EARLY": 2}) as job:
        job.start()
        assert job.codes(2) == [7]
        assert "rank 2" in job.errors()
        assert "exited with code 7 before it had joined" in job.errors()


@START
def test_an_engine_that_dies_as_it_joins_is_reported(make_job, options):
    with make_job(3, *options, env={"STANDIN_DIE_JOINED": 2}) as job:
        job.start()
        job.facts(1)
        wait_for(job.notices, "a notice")
        assert job.notices()[0][0] == 2
        job.ask_to_leave(0, 1)
        assert job.codes(seconds=8) == [0, 0, 0]


@START
def test_a_launcher_that_is_killed_ends_the_job(make_job, options):
    """Nannies are children of a shell here, as of mpirun."""
    with make_job(3, *options) as job:
        job.start_below_a_launcher()
        for rank in (1, 2):
            job.facts(rank)
        job.launcher.kill()
        job.launcher.wait()
        wait_for(lambda: not job.processes(), "all processes to end", 8)
        assert (job.where / "told.1").exists()


@START
def test_a_killed_nanny_takes_its_rank_along(make_job, options):
    with make_job(4, *options) as job:
        facts = run(job)
        job.nannies[1].kill()
        wait_for(lambda: not is_alive(facts[0]["pid"]), "rank 1 to end", 5)
        assert is_alive(facts[1]["pid"]) and is_alive(facts[2]["pid"])
        job.ask_to_leave(0, 2, 3)
        assert job.codes(0, 2, 3) == [0, 0, 0]
        wait_for(lambda: not job.processes(), "all processes to end")


def test_a_killed_nanny_of_rank_0_ends_its_controller(make_job):
    with make_job(3) as job:
        run(job)
        controller = job.controller()
        job.nannies[0].kill()
        wait_for(lambda: not is_alive(controller), "rank 0 to end", 5)


def test_a_killed_controller_ends_the_job(make_job):
    with make_job(3) as job:
        run(job)
        os.kill(job.controller(), signal.SIGKILL)
        assert job.codes(0, seconds=8) == [128 + signal.SIGKILL]
        errors = job.errors()
        assert "killed by signal 9 (Killed)" in errors
        assert socket.gethostname() in errors


def test_a_killed_zygote_harms_no_running_rank(make_job):
    with make_job(4) as job:
        facts = run(job)
        os.kill(job.zygote(), signal.SIGKILL)
        wait_for(lambda: "the zygote is gone" in job.errors() or
                 not is_alive(job.zygote()), "the zygote to end")
        assert all(is_alive(fact["pid"]) for fact in facts)
        os.kill(facts[0]["pid"], signal.SIGKILL)
        wait_for(job.notices, "a notice without a zygote")
        assert job.notices()[0][:3] == (1, facts[0]["pid"], -1)
        job.ask_to_leave(0, 2, 3)
        assert job.codes(seconds=8) == [0, 0, 0, 0]


def test_engines_start_without_a_zygote_that_crashes(make_job):
    with make_job(3, env={"STANDIN_ZYGOTE": "crash"}) as job:
        facts = run(job)
        assert [fact["parent"] for fact in facts] == [
            job.nannies[1].pid, job.nannies[2].pid]
        job.ask_to_leave()
        assert job.codes() == [0, 0, 0]


def test_a_nanny_may_come_late(make_job):
    with make_job(3) as job:
        job.start(0, 1)
        job.facts(1)
        job.start(2)
        assert job.facts(2)["parent"] == job.zygote()
        job.ask_to_leave()
        assert job.codes() == [0, 0, 0]


@START
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_told_nanny_has_its_rank_leave(make_job, options, number):
    with make_job(3, *options) as job:
        run(job)
        for rank in (2, 1, 0):
            job.nannies[rank].send_signal(number)
        assert job.codes(seconds=5) == [0, 0, 0]
        assert (job.where / "told.1").exists()
        assert job.notices() == []
        wait_for(lambda: not job.processes(), "all processes to end")


@START
def test_a_deaf_rank_is_killed(make_job, options):
    with make_job(3, *options, env={"STANDIN_DEAF": 1}) as job:
        run(job)
        start = time.monotonic()
        for rank in range(3):
            os.killpg(job.nannies[rank].pid, signal.SIGTERM)
        assert job.codes(seconds=5) == [128 + signal.SIGTERM] * 3
        assert time.monotonic() - start < 5
        wait_for(lambda: not job.processes(), "all processes to end")


@START
def test_a_launchers_kill_ends_everything(make_job, options):
    """mpirun signals process groups: CONT, TERM, then KILL."""
    with make_job(5, *options, env={"STANDIN_DEAF": 1}) as job:
        run(job)
        for rank in range(5):
            os.killpg(job.nannies[rank].pid, signal.SIGKILL)
        job.codes(seconds=5)
        wait_for(lambda: not job.processes(), "all processes to end", 5)


@START
def test_a_rank_is_what_the_launcher_meant(make_job, options, tmp_path):
    cpu = sorted(os.sched_getaffinity(0))[-1]

    def before():
        import resource
        os.sched_setaffinity(0, {cpu})
        os.umask(0o027)
        os.nice(3)
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.chdir(tmp_path)

    env = {"SOME_VARIABLE": "a = b\nc", "IPYTHONDIR": "/i p y"}
    with make_job(3, *options, env=env, before=before) as job:
        for rank, fact in enumerate(run(job), 1):
            assert fact["affinity"] == [cpu]
            assert fact["umask"] == 0o027
            assert fact["nice"] == os.getpriority(os.PRIO_PROCESS, 0) + 3
            assert fact["nofile"] == [200, 300]
            assert fact["core"] == [0, 0]
            assert fact["cwd"] == str(tmp_path)
            assert fact["group"] == job.nannies[rank].pid
            environment = fact["environment"]
            assert environment["SOME_VARIABLE"] == "a = b\nc"
            assert environment["OMPI_COMM_WORLD_RANK"] == str(rank)
            assert environment["IPYTHONDIR"] == "/i p y"
            assert "IPMPI_ZYGOTE_FDS" not in environment
            assert fact["fds"]["1"] == str(job.where / f"out.{rank}")
            assert fact["fds"]["2"] == str(job.where / f"err.{rank}")
            assert set(fact["fds"]) == {"0", "1", "2",
                                        environment["IPMPI_LINK_FD"]}
            assert int(fact["signals"]["SigBlk"], 16) == 0
            # Python itself ignores PIPE and XFSZ.
            ignored = (signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ)
            assert int(fact["signals"]["SigIgn"], 16) == sum(
                1 << (number - 1) for number in ignored)
            caught = int(fact["signals"]["SigCgt"], 16)
            assert [number for number in range(1, 32) if caught >> (number - 1)
                    & 1 and number not in SANITIZERS] == [signal.SIGINT]
        job.ask_to_leave()
        assert job.codes() == [0, 0, 0]


@START
@pytest.mark.parametrize("users", [None, "glibc.malloc.check=0"])
def test_the_controller_alone_has_huge_pages(make_job, options, users):
    with make_job(3, *options, env={"GLIBC_TUNABLES": users}) as job:
        engines = [fact["environment"].get("GLIBC_TUNABLES")
                   for fact in run(job)]
        pid = job.controller()
        with open(f"/proc/{pid}/environ") as file:
            found = dict(entry.partition("=")[::2]
                         for entry in file.read().split("\0"))
        assert engines == [users] * 2
        assert found["GLIBC_TUNABLES"] == (users or "glibc.malloc.hugetlb=1")
        job.ask_to_leave()
        assert job.codes() == [0, 0, 0]


@START
def test_options_reach_the_engine(make_job, options):
    words = (*options, "-c", "x = 1", "--profile-dir=/p d")
    with make_job(3, *words) as job:
        for fact in run(job):
            assert fact["argv"] == ["-c", *words]
            environment = fact["environment"]
            assert environment["IPP_PROFILE_DIR"] == "/p d"
            assert '"exec_lines":["x = 1"]' in (
                environment["IPMPI_ENGINE_OPTIONS"])
        job.ask_to_leave()
        assert job.codes() == [0, 0, 0]


@START
def test_work_dir_is_the_engines(make_job, options, tmp_path):
    with make_job(3, *options, "--work-dir", str(tmp_path)) as job:
        assert {fact["cwd"] for fact in run(job)} == {str(tmp_path)}
        job.ask_to_leave()
        assert job.codes() == [0, 0, 0]


@START
def test_an_installed_tree_works_where_it_is(make_job, options, tmp_path):
    with make_job(3, *options, program_dir=install(tmp_path)) as job:
        run(job)
        job.ask_to_leave()
        assert job.codes() == [0, 0, 0]


@pytest.mark.parametrize("python", interpreters(), ids=str)
@START
def test_any_python_can_be_embedded(make_job, options, tmp_path, python):
    """One build; whichever shared CPython the machine has, and a virtual
    environment of it."""
    packages = tmp_path / "packages"
    for name in ("ipyparallel", "ipykernel", "IPython"):
        (packages / name).mkdir(parents=True)
        (packages / name / "__init__.py").touch()
    environment = tmp_path / "environment"
    subprocess.run([python, "-m", "venv", "--without-pip", environment],
                   check=True)
    version = json.loads(subprocess.check_output(
        [python, "-c", "import sys; print(list(sys.version_info[:2]))"]))
    for chosen, env, prefix in (
            (("--python", str(python)), {}, None),
            ((), {"VIRTUAL_ENV": environment}, environment)):
        with make_job(3, *options, *chosen,
                      env={"PYTHONPATH": packages} | env) as job:
            for fact in run(job):
                assert fact["version"] == version
                if prefix:
                    assert fact["prefix"] == str(prefix)
                    assert fact["executable"].startswith(str(prefix / "bin"))
            job.ask_to_leave()
            assert job.codes() == [0, 0, 0]


def test_streams_that_are_closed_stay_harmless(make_job):
    def before():
        os.close(0)
        os.close(2)

    with make_job(3, before=before) as job:
        for fact in run(job):
            assert fact["fds"]["0"] == "/dev/null"
        job.ask_to_leave()
        assert job.codes() == [0, 0, 0]


@pytest.mark.parametrize("size", [2, 4])
def test_a_bad_python_is_told_once(make_job, size):
    with make_job(size, "--python", "/nonexistent/python") as job:
        job.start()
        assert job.codes(0) == [3]
        for rank in range(1, size):  # as mpirun does
            os.killpg(job.nannies[rank].pid, signal.SIGTERM)
        job.codes(seconds=5)
        assert job.errors().count("/nonexistent/python is no program") == 1


def test_a_term_at_the_end_changes_no_exit_code(make_job):
    """While the nanny of rank 0 waits for its zygote, which rank 2 needs."""
    with make_job(3) as job:
        run(job)
        job.ask_to_leave(0, code=0)
        wait_for(lambda: not is_alive(job.controller()), "rank 0 to end")
        job.nannies[0].terminate()
        assert job.codes(0, seconds=5) == [0]
        job.ask_to_leave(1, 2)
        assert job.codes(1, 2) == [0, 0]


def test_missing_packages_end_the_job(make_job):
    with make_job(3, env={"STANDIN_ZYGOTE": "missing"}) as job:
        job.start()
        assert job.codes(0) == [3]
        assert "no module named nothing" in job.errors()


@pytest.mark.parametrize("size", [1, 3])
def test_wrong_use_is_told_once(make_job, size):
    with make_job(size, "--no-such-option") as job:
        job.start()
        assert job.codes() == [2] * size
        assert job.errors().count("--no-such-option") == 1


def test_help_and_version_are_told_once(make_job):
    for option, text in (("--help", "Usage: ipmpi-engine"),
                         ("--version", "ipmpi-engine 0.")):
        with make_job(3, option) as job:
            job.start()
            assert job.codes() == [0, 0, 0]
            told = [(job.where / f"out.{rank}").read_text()
                    for rank in range(3)]
            assert text in told[0] and told[1:] == ["", ""]


def test_waiting_costs_nothing(make_job):
    """Neither nannies nor zygote use the cpu while nothing happens."""
    def ticks(pids):
        total = 0
        for pid in pids:
            with open(f"/proc/{pid}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total

    with make_job(4) as job:
        run(job)
        pids = [job.zygote(), *(nanny.pid for nanny in job.nannies.values())]
        before = ticks(pids)
        time.sleep(1)  # a span to measure, not a result to wait for
        assert ticks(pids) - before <= 1
        job.ask_to_leave()
        assert job.codes() == [0, 0, 0, 0]
