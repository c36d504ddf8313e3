"""`ipmpi marathon` against the stand-in, its tasks in namespaces: what goes
well, and each fault that a cluster can have."""
from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

sys.path[:0] = [str(path) for path in Path(__file__).resolve().parents[:3]]
from harness.processes import clean_up_when_told  # noqa: E402
from nodes import HELLO, IPMPI, Job, wait_for  # noqa: E402
from standin import Agent, FakePlacer, NamespacePlacer, Standin  # noqa: E402


class Place:
    """A stand-in over namespaces, and jobs on it."""

    def __init__(self, agents: int = 3, placer=None, cpus: float = 8,
                 **options) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="ipmpi-marathon-")
        self.path = Path(self.directory.name)
        self.path.chmod(0o711)
        self.agents = [
            Agent(hostname=f"127.0.0.{i + 1}", cpus=cpus,
                  ports=[(31000 + 100 * i, 31060 + 100 * i),
                         (31063 + 100 * i, 31099 + 100 * i)])
            for i in range(agents)]
        self.placer = placer or NamespacePlacer([str(IPMPI), "agent"],
                                                self.path)
        self.server = Standin(self.agents, self.placer, heartbeat=1,
                              **options)
        self.jobs: list[Job] = []

    def run(self, verb: str, *arguments: str, job: str = "j1") -> Job:
        made = Job([str(IPMPI), "marathon", verb, f"--job={job}",
                    f"--marathon={self.server.urls}", *arguments], self.path)
        self.jobs.append(made)
        return made

    def hold(self, *arguments: str) -> Job:
        return self.run("start", "--keep-going", *arguments, str(HELLO),
                        "--hold", str(self.path / "go"))

    def go(self) -> None:
        (self.path / "go").touch()

    def apps(self) -> dict:
        return self.server.model.apps

    def tasks(self) -> list:
        return [t for a in self.apps().values() for t in a.tasks.values()]

    def by_name(self, name: str):
        return self.placer.tasks[int(name[1:])]

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *_) -> None:
        for job in self.jobs:
            job.kill()
        self.server.close()
        self.directory.cleanup()


def leader_of(text: str) -> str:
    return re.findall(r"rank 0 of \d+ on (\S+)", text)[-1]


class Marathon(unittest.TestCase):
    def test_a_job_and_its_end(self) -> None:
        with Place() as place:
            job = place.run("start", "--nodes=3", str(HELLO))
            self.assertEqual(job.wait(), 0, job.output())
            self.assertIn("ring of 6: good", job.output())
            # Every port that ranks listen on was declared.
            used = {int(p) for p in re.findall(r"port (\d+)", job.output())}
            declared = {p for t in place.placer.tasks for p in t.ports}
            self.assertEqual(len(used), 6)
            self.assertTrue(used <= declared)
            self.assertEqual(place.apps(), {})
            self.assertFalse(list((place.path / ".ipmpi/jobs").iterdir()))

    def test_detach_status_scale_stop(self) -> None:
        with Place() as place:
            job = place.hold("--nodes=2", "--detach")
            self.assertEqual(job.wait(), 0, job.output())
            state = place.path / ".ipmpi/jobs/j1.json"
            self.assertEqual(stat.S_IMODE(state.stat().st_mode), 0o600)
            status = place.run("status")
            self.assertEqual(status.wait(), 0, status.output())
            self.assertIn("2 of 2 nodes placed", status.output())
            self.assertIn("leader", status.output())
            self.assertIn("engines", status.output())
            scale = place.run("scale", "--nodes=3")
            self.assertEqual(scale.wait(), 0, scale.output())

            def has_spare() -> bool:
                shown = place.run("status")
                shown.wait()
                return "spare" in shown.output()
            wait_for(has_spare, what="a spare node")
            scale = place.run("scale", "--nodes=1")
            self.assertEqual(scale.wait(), 1, scale.output())
            self.assertIn("--force", scale.output())
            scale = place.run("scale", "--nodes=2")
            self.assertEqual(scale.wait(), 0, scale.output())
            wait_for(lambda: len(place.tasks()) == 2, what="two tasks")
            self.assertNotIn("spare", place.run("status").output())
            again = place.run("start", str(HELLO))
            self.assertEqual(again.wait(), 64, again.output())
            stop = place.run("stop")
            self.assertEqual(stop.wait(), 0, stop.output())
            self.assertEqual(place.apps(), {})
            self.assertFalse(state.exists())
            self.assertEqual(place.run("stop").wait(), 64)

    def test_never_enough_offers_is_cleaned_up(self) -> None:
        with Place(2, cpus=3) as place:
            place.agents[1].cpus = 1
            job = place.run("start", "--nodes=2", "--join-timeout=4",
                            str(HELLO))
            self.assertEqual(job.wait(), 70, job.output())
            self.assertIn("1 of 2 nodes placed", job.output())
            self.assertIn("too few cpus", job.output())
            self.assertEqual(place.apps(), {})

    def test_no_offers_at_all(self) -> None:
        with Place(1) as place:
            place.server.model.offering = False
            job = place.run("start", "--join-timeout=3", str(HELLO))
            self.assertEqual(job.wait(), 70, job.output())
            self.assertIn("0 of 1 nodes placed; no offers came yet",
                          job.output())

    def test_an_image_that_fails(self) -> None:
        class Failing(FakePlacer):
            def start(self, model, task, environment) -> None:
                threading.Thread(target=model.on_state, args=(
                    task, "TASK_FAILED", "Failed to run 'docker pull': "
                    "no such image"), daemon=True).start()
        with Place(1, placer=Failing()) as place:
            job = place.run("start", "--join-timeout=4", str(HELLO))
            self.assertEqual(job.wait(), 70, job.output())
            self.assertIn("no such image", job.output())
            self.assertEqual(place.apps(), {})

    def test_containers_that_are_not_ours(self) -> None:
        with Place(1, placer=FakePlacer()) as place:
            job = place.run("start", "--join-timeout=3", str(HELLO))
            self.assertEqual(job.wait(), 70, job.output())
            self.assertIn("connection refused", job.output())

    def test_killed_before_the_barrier(self) -> None:
        with Place(3) as place:
            place.agents[2].gone = True
            job = place.run("start", "--nodes=3", str(HELLO))
            job.wait_text("2 of 3 nodes are here")
            place.placer.vanish(place.tasks()[0])
            place.agents[2].gone = False
            self.assertEqual(job.wait(90), 0, job.output())
            self.assertIn("ring of 6: good", job.output())
            self.assertGreaterEqual(len(place.placer.tasks), 4)

    def test_killed_during_the_barrier(self) -> None:
        with Place(3) as place:
            job = place.run("start", "--nodes=3", str(HELLO))
            job.wait_text("preparing generation")
            place.placer.vanish(place.tasks()[1])
            self.assertEqual(job.wait(120), 0, job.output())
            self.assertIn("ring of 6: good", job.output())

    def test_killed_after_the_barrier(self) -> None:
        with Place(3) as place:
            job = place.hold("--nodes=3")
            job.wait_text("ring of 6: good")
            leader = place.by_name(leader_of(job.output()))
            victim = next(t for t in place.tasks() if t is not leader)
            place.placer.vanish(victim)
            job.wait_text("the job goes on without it")
            # Its replacement is a spare.
            job.wait_text("generation 1 runs on 2 nodes, 1 spare")
            place.go()
            self.assertEqual(job.wait(), 0, job.output())
            self.assertIn("held for", job.output())

    def test_the_leader_is_killed(self) -> None:
        with Place(3) as place:
            job = place.hold("--nodes=2", "--share-hosts")
            job.wait_text("ring of 4: good")
            place.placer.vanish(place.by_name(leader_of(job.output())))
            job.wait_text("generation 2 runs")
            wait_for(lambda: job.output().count("ring of 4: good") == 2,
                     what="second ring")
            place.go()
            self.assertEqual(job.wait(), 0, job.output())

    def test_marathons_leader_changes(self) -> None:
        with Place(3) as place:
            job = place.hold("--nodes=3")
            job.wait_text("application /ipmpi")
            place.server.change_leader(1.0)
            job.wait_text("ring of 6: good")
            place.server.change_leader(0.5)
            place.go()
            threading.Timer(0.3, place.server.change_leader,
                            args=(1.0,)).start()
            self.assertEqual(job.wait(), 0, job.output())
            self.assertEqual(place.apps(), {})

    def test_without_event_stream(self) -> None:
        with Place(2) as place:
            place.server.no_events = True
            job = place.run("start", "--nodes=2", str(HELLO))
            self.assertEqual(job.wait(), 0, job.output())

    def test_events_twice_and_cut(self) -> None:
        with Place(2) as place:
            place.server.model.double_events = True
            job = place.hold("--nodes=2")
            job.wait_text("application /ipmpi")
            for _ in range(3):
                place.server.model.disconnect_readers()
            job.wait_text("ring of 4: good")
            place.go()
            self.assertEqual(job.wait(), 0, job.output())

    def test_busy_and_lost_answers(self) -> None:
        with Place(2) as place:
            place.server.busy = 2
            place.server.drop_answers = 1
            job = place.run("start", "--nodes=2", str(HELLO))
            self.assertEqual(job.wait(), 0, job.output())
            self.assertIn("ring of 4: good", job.output())

    def test_errors_in_words(self) -> None:
        rows = [
            (["--image="], "/container/docker/image: must not be empty"),
            (["--constraint=hostname:UNIQUE:x"],
             "/constraints(1): UNIQUE does not accept a value"),
            (["--constraint=rack:NEAR"], "operator must be one of"),
        ]
        with Place(1, placer=FakePlacer()) as place:
            for arguments, words in rows:
                job = place.run("start", *arguments, str(HELLO))
                self.assertEqual(job.wait(), 71, job.output())
                self.assertIn(words, job.output())
                self.assertIn("[422]", job.output())
            other = Job([str(IPMPI), "marathon", "start", "--job=j1",
                         "--marathon=http://127.0.0.1:9"], place.path)
            self.assertEqual(other.wait(), 71, other.output())
            self.assertIn("no answer from Marathon", other.output())

    def test_an_application_of_that_name(self) -> None:
        with Place(1, placer=FakePlacer()) as place:
            spec = {"id": f"/ipmpi/{os.environ.get('USER', 'root')}/j1/"
                    "workers", "cmd": "sleep 1"}
            import urllib.request
            urllib.request.urlopen(urllib.request.Request(
                place.server.url + "/v2/apps", json.dumps(spec).encode(),
                {"Content-Type": "application/json"}))
            job = place.run("start", str(HELLO))
            self.assertEqual(job.wait(60), 71, job.output())
            self.assertRegex(job.output(), "exists already|deployment holds")
            self.assertEqual(len(place.apps()), 1)

    def test_credentials(self) -> None:
        with Place(1, basic="me:secret-of-mine") as place:
            job = place.run("start", str(HELLO))
            self.assertEqual(job.wait(), 71, job.output())
            self.assertIn("credentials", job.output())
            file = place.path / "basic"
            file.write_text("me:secret-of-mine\n")
            file.chmod(0o644)
            job = place.run("start", f"--basic-file={file}", str(HELLO))
            self.assertEqual(job.wait(), 64, job.output())
            self.assertIn("others may read", job.output())
            file.chmod(0o600)
            job = place.run("start", f"--basic-file={file}", str(HELLO))
            self.assertEqual(job.wait(), 0, job.output())
            self.assertNotIn("secret-of-mine", job.output())
        with Place(1, token="jwt") as place:
            file = place.path / "headers"
            file.write_text("Authorization: token=jwt\n")
            file.chmod(0o600)
            job = place.run("start", f"--header-file={file}", str(HELLO))
            self.assertEqual(job.wait(), 0, job.output())
            remote = Job([str(IPMPI), "marathon", "start", "--job=j2",
                          f"--header-file={file}",
                          "--marathon=http://192.0.2.1"], place.path)
            self.assertEqual(remote.wait(), 64, remote.output())
            self.assertIn("in clear", remote.output())

    def test_over_tls(self) -> None:
        with tempfile.TemporaryDirectory(prefix="ipmpi-tls-") as directory:
            key, certificate = (f"{directory}/{n}" for n in ("key", "cert"))
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                 "/CN=stand-in", "-addext", "subjectAltName=IP:127.0.0.1",
                 "-keyout", key, "-out", certificate],
                check=True, capture_output=True, timeout=60)
            with Place(1, basic="me:mine-only",
                       certificate=(certificate, key)) as place:
                file = place.path / "basic"
                file.write_text("me:mine-only\n")
                file.chmod(0o600)
                job = place.run("start", f"--basic-file={file}", str(HELLO))
                self.assertEqual(job.wait(), 71, job.output())
                self.assertIn("certificate", job.output())
                job = place.hold("--detach", f"--basic-file={file}",
                                 f"--ca-file={certificate}")
                self.assertEqual(job.wait(), 0, job.output())
                # They know it from start.
                status = place.run("status")
                self.assertEqual(status.wait(), 0, status.output())
                stop = place.run("stop")
                self.assertEqual(stop.wait(), 0, stop.output())
                self.assertEqual(place.apps(), {})

    def test_what_is_not_allowed(self) -> None:
        rows = [({"message": "Not Authorized to perform this action!"},
                 "Marathon does not allow it [403]: Not Authorized"),
                ({"message": "Max number (100) of running deployments is "
                  "achieved. Wait for existing deployments to complete or "
                  "cancel one using force=true parameter."},
                 "runs as many deployments as it may [403]: Max number")]
        with Place(1, placer=FakePlacer()) as place:
            for place.server.refusal, words in rows:
                job = place.run("start", str(HELLO))
                self.assertEqual(job.wait(), 71, job.output())
                self.assertIn(words, job.output())
            self.assertEqual(place.apps(), {})

    def test_port_names_with_a_prefix(self) -> None:
        with Place(2, prefix="SITE_") as place:
            job = place.run("start", "--nodes=2", str(HELLO))
            self.assertEqual(job.wait(), 0, job.output())
            self.assertNotIn("port any", job.output())

    def test_a_site_key(self) -> None:
        with Place(2) as place:
            key = place.path / "site"
            key.write_text("a key that the site has put on each host")
            key.chmod(0o600)
            place.placer.command = [str(IPMPI), "agent",
                                    f"--secret-file={key}"]
            job = place.run("start", "--nodes=2", f"--secret-file={key}",
                            str(HELLO))
            self.assertEqual(job.wait(), 0, job.output())

    def test_stop_by_signal(self) -> None:
        with Place(2) as place:
            job = place.hold("--nodes=2")
            job.wait_text("ring of 4: good")
            job.stop()
            self.assertIn("stopping the job", job.output())
            self.assertEqual(place.apps(), {})


if __name__ == "__main__":
    clean_up_when_told()
    unittest.main(verbosity=2)
