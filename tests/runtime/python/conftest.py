"""Runs the real ipmpi_engine in this process, over the fake `_ipmpi`."""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
sys.path[:0] = [str(HERE), str(ROOT / "runtime" / "python")]
os.environ["IPYTHONDIR"] = tempfile.mkdtemp(prefix="ipmpi-test-")
os.environ.pop("PYTHONSTARTUP", None)

import fake_ipmpi as fake  # noqa: E402

DEADLINE_S = 20


class Engine:
    """The engine under test; one for the session, as kernels are."""

    def __init__(self):
        from ipmpi_engine import forked, interrupts, output, preload
        from ipmpi_engine.loop import WorkLoop

        self.kernel = preload.prepare()
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        joined = fake.join()
        self.kernel.bind(joined, self.loop)
        self.kernel.interrupts.install()
        self.shell = self.kernel.shell
        self.work = WorkLoop(self.kernel, self.loop, joined["wake_fd"])
        self.streams = output.make_streams()
        forked.watch()

    def run(self, *refs, timeout=DEADLINE_S):
        """Runs the loop until these requests are answered."""
        missing = set(refs) - set(fake.replies)

        def answered(ref):
            missing.discard(ref)
            if not missing:
                fake.stop = 1

        def late():
            fake.stop = 1
            self.loop.stop()

        fake.on_reply, fake.stop = answered, 0
        timer = self.loop.call_later(timeout, late)
        saved = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = self.streams
        try:
            self.work.run()
        finally:
            sys.stdout, sys.stderr = saved
            timer.cancel()
            fake.on_reply, fake.stop = None, 0
        assert not missing, f"no reply to {missing}"
        replies = [fake.replies[ref] for ref in refs]
        return replies[0] if len(replies) == 1 else replies

    def send_apply(self, f, *args, **kwargs):
        from ipyparallel.serialize import pack_apply_message

        return fake.feed("apply_request", {},
                         pack_apply_message(f, args, kwargs))

    def apply(self, f, *args, **kwargs):
        """Runs a call; returns its reply."""
        return self.run(self.send_apply(f, *args, **kwargs))

    def value(self, f, *args, **kwargs):
        """Runs a call; returns its result."""
        from ipyparallel.serialize import deserialize_object

        reply = self.apply(f, *args, **kwargs)
        assert reply.status == fake.OK, reply.content
        return deserialize_object(reply.buffers)[0]

    def send_execute(self, code, **content):
        return fake.feed("execute_request", {"code": code, "silent": False,
                                             "user_expressions": {},
                                             **content})

    def execute(self, code, **content):
        return self.run(self.send_execute(code, **content))

    def spin(self, done, timeout=DEADLINE_S):
        """Waits for `done()` without running the loop."""
        deadline = time.monotonic() + timeout
        while not done():
            assert time.monotonic() < deadline, "deadline"
            time.sleep(0.002)


@pytest.fixture(scope="session")
def engine_process():
    return Engine()


@pytest.fixture
def engine(engine_process):
    fake.published.clear()
    engine_process.shell.reset(new_session=False)
    yield engine_process
    assert not fake.waiting
