"""The load generator of tests/bench: every task answered once, and signed."""

from __future__ import annotations

import json
import subprocess

import pytest

from bench import noop_call
from harness import places

GENERATOR = places.BUILD / "tests" / "bench_generator"


@pytest.fixture(scope="module")
def call(tmp_path_factory):
    path = tmp_path_factory.mktemp("call") / "noop"
    noop_call.write(path)
    return path


def generate(call, file, *args):
    return subprocess.run(
        [GENERATOR, "--call", call, "--json", "--tasks", "300", "--warm-up",
         "10", "--timeout", "60", *args, file],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90)


@pytest.mark.parametrize("mode", ["--balanced", "--direct"])
@pytest.mark.parametrize("in_flight", ["1", "40"])
def test_every_task_is_answered_once(cluster, call, mode, in_flight):
    done = generate(call, cluster.connection_file, mode, "--engines", "4",
                    "--in-flight", in_flight)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["tasks"], found["idle"]) == (300, 300)
    assert found["failed"] == found["forged"] == found["twice"] == 0
    assert 0 < found["p50_us"] <= found["p99_us"] <= found["worst_us"]


def test_a_task_that_fails_counts_as_failed(cluster, tmp_path):
    from ipyparallel.serialize import pack_apply_message

    def fails():
        raise ValueError

    fails.__module__ = "__main__"
    noop_call.write_buffers(tmp_path / "call",
                            pack_apply_message(fails, (), {}))
    done = generate(tmp_path / "call", cluster.connection_file)
    assert done.returncode == 1
    assert json.loads(done.stdout)["failed"] == 310


def test_with_another_key_nothing_is_answered(cluster, call, tmp_path):
    info = cluster.info()
    info["key"] = "another"
    file = tmp_path / "file.json"
    file.write_text(json.dumps(info))
    done = generate(call, file, "--timeout", "2")
    assert done.returncode == 1
    assert "deadline passed" in done.stderr
