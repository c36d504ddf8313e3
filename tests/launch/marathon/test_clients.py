"""The stand-in, held to Marathon's API by clients that others wrote: the PyPI
packages `marathon` 0.13 and `shpkpr`, in the environment that tests/run makes
for them; 77 where it is not."""
from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

sys.path[:0] = [str(path) for path in Path(__file__).resolve().parents[:3]]
from harness import places  # noqa: E402

PYTHON = places.MARATHON_VENV / "bin" / "python"
if __name__ == "__main__" and Path(sys.prefix) != places.MARATHON_VENV:
    if not PYTHON.exists():
        print(f"no {PYTHON}: tests/run --only launch makes it")
        sys.exit(77)
    os.execv(PYTHON, [str(PYTHON), "-W", "ignore", *sys.argv])

from standin import Agent, FakePlacer, Standin  # noqa: E402

# Both were written for older Pythons, which had these names here.
SHIM = ("import collections, collections.abc, inspect\n"
        "for n in ('Iterable', 'Mapping', 'MutableMapping', 'Sequence',"
        " 'Callable'):\n"
        "    setattr(collections, n, getattr(collections.abc, n))\n")
exec(SHIM)  # pylint: disable=exec-used
import marathon  # noqa: E402
from marathon.models import MarathonApp  # noqa: E402
from marathon.models.constraint import MarathonConstraint  # noqa: E402


def wait_for(condition, seconds: float = 20.0):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError("condition did not come")
        time.sleep(0.05)


def agents() -> list[Agent]:
    return [Agent(hostname=f"host{i}") for i in range(3)]


class Clients(unittest.TestCase):
    def setUp(self) -> None:
        self.server = Standin(agents(), FakePlacer(), heartbeat=0.5)
        self.client = marathon.MarathonClient(self.server.url)
        self.addCleanup(self.server.close)
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def create(self, **fields):
        fields.setdefault("cmd", "sleep 100")
        fields.setdefault("instances", 2)
        return self.client.create_app("/a/b", MarathonApp(**fields))

    def running(self, n: int) -> bool:
        return self.client.get_app("/a/b").tasks_running == n

    def test_create_list_scale_kill_delete(self) -> None:
        app = self.create(cpus=0.5, mem=64, constraints=[
            MarathonConstraint("hostname", "UNIQUE")])
        self.assertEqual(app.id, "/a/b")
        wait_for(lambda: self.running(2))
        self.assertEqual([a.id for a in self.client.list_apps()], ["/a/b"])
        tasks = self.client.list_tasks("/a/b")
        self.assertEqual(len({t.host for t in tasks}), 2)
        self.client.scale_app("/a/b", instances=3)
        wait_for(lambda: self.running(3))
        wait_for(lambda: not self.client.list_deployments())
        killed = self.client.kill_task("/a/b", tasks[0].id, scale=True)
        self.assertTrue(killed)
        wait_for(lambda: self.running(2))
        ids = {t.id for t in self.client.list_tasks()}
        self.client.kill_task("/a/b", sorted(ids)[0], scale=False)
        wait_for(lambda: self.running(2) and {
            t.id for t in self.client.list_tasks()} != ids)
        self.client.delete_app("/a/b")
        wait_for(lambda: not self.client.list_apps())
        with self.assertRaises(marathon.NotFoundError):
            self.client.get_app("/a/b")

    def test_update_versions_restart(self) -> None:
        self.create()
        wait_for(lambda: self.running(2))
        wait_for(lambda: not self.client.list_deployments())
        app = self.client.get_app("/a/b")
        app.cpus = 0.25
        self.client.update_app("/a/b", app)
        wait_for(lambda: not self.client.list_deployments())
        self.assertEqual(self.client.get_app("/a/b").cpus, 0.25)
        versions = self.client.list_versions("/a/b")
        self.assertEqual(len(versions), 2)
        self.client.restart_app("/a/b")
        wait_for(lambda: not self.client.list_deployments())

    def test_locks_and_deployments(self) -> None:
        self.create(instances=5, constraints=[
            MarathonConstraint("hostname", "UNIQUE")])
        wait_for(lambda: self.running(3))
        deployments = self.client.list_deployments()
        self.assertEqual(len(deployments), 1)
        with self.assertRaises(marathon.MarathonHttpError) as caught:
            self.client.scale_app("/a/b", instances=1)
        self.assertEqual(caught.exception.status_code, 409)
        self.client.scale_app("/a/b", instances=3, force=True)
        wait_for(lambda: not self.client.list_deployments())

    def test_errors(self) -> None:
        with self.assertRaises(marathon.MarathonHttpError) as caught:
            self.create(constraints=[
                MarathonConstraint("hostname", "UNIQUE", "x")])
        self.assertEqual(caught.exception.status_code, 422)
        self.create()
        with self.assertRaises(marathon.MarathonHttpError):
            self.create()

    def test_event_stream(self) -> None:
        seen: list[str] = []

        def read() -> None:
            for event in self.client.event_stream():
                seen.append(type(event).__name__)
        threading.Thread(target=read, daemon=True).start()
        wait_for(lambda: "MarathonEventStreamAttached" in seen)
        self.create()
        wait_for(lambda: "MarathonStatusUpdateEvent" in seen
                 and "MarathonDeploymentSuccess" in seen)

    def test_info_leader_groups(self) -> None:
        self.assertIn(self.client.ping(), ("pong", b"pong"))
        self.assertTrue(self.client.get_info().version)
        self.assertIn("127.0.0.1", str(self.client.get_leader()))
        self.create()
        self.assertEqual(self.client.get_group("/a").apps[0].id, "/a/b")

    def test_through_the_standby(self) -> None:
        standby = marathon.MarathonClient(
            "http://" + self.server.address(1))
        standby.create_app("/x", MarathonApp(cmd="sleep 9", instances=1))
        wait_for(lambda: standby.get_app("/x").tasks_running == 1)

    def test_shpkpr(self) -> None:
        self.create()
        wait_for(lambda: self.running(2))
        run = SHIM + "from shpkpr.cli.entrypoint import cli; cli()"

        def shpkpr(*arguments: str) -> str:
            done = subprocess.run(
                [sys.executable, "-c", run, *arguments, "--marathon-url",
                 self.server.url], capture_output=True, text=True,
                timeout=60, env={"LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"})
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout
        self.assertIn("/a/b", shpkpr("apps", "show"))
        template = Path(self.directory.name) / "app.json"
        template.write_text('{"id": "/c/d", "cmd": "sleep 100", '
                            '"instances": {{N}}}')
        for n in ("1", "3"):
            shpkpr("apps", "deploy", "--template", template.name,
                   "--template-dir", self.directory.name, f"N={n}")
            self.assertEqual(
                self.client.get_app("/c/d").tasks_running, int(n))


if __name__ == "__main__":
    unittest.main(verbosity=2)
