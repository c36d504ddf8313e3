"""The real thing: containers placed by the stand-in, the walkthrough from an
unmodified client, and each fault that containers, their network and Marathon
can have."""
from __future__ import annotations

import os
import subprocess
import sys
import threading
import unittest
from pathlib import Path

sys.path[:0] = [str(path) for path in Path(__file__).resolve().parents[:3]]
from harness.processes import clean_up_when_told  # noqa: E402
from boxes import CLIENT, Boxes, need_docker  # noqa: E402
from nodes import ROOT, wait_for  # noqa: E402


class Docker(unittest.TestCase):
    def test_the_walkthrough_over_three_containers(self) -> None:
        with Boxes() as boxes:
            job = boxes.ready("--nodes=3")
            hosts = boxes.hosts_of()
            self.assertEqual(sorted(hosts.count(h) for h in set(hosts)),
                             [2, 2, 2])
            self.assertEqual(len(boxes.memory()), 6)
            self.assertTrue(all(n > 1 << 20 for n in boxes.memory()))
            done = subprocess.run(
                [CLIENT, str(ROOT / "tests/walkthrough.py"),
                 f"--profile-dir={boxes.profile}"], capture_output=True,
                text=True, timeout=300,
                env={**os.environ, "IPYTHONDIR": str(boxes.path / "ipy")})
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertEqual(job.stop(), 0, job.output())
            self.assertEqual(boxes.server.model.apps, {})
            self.assertFalse(list(
                (boxes.profile / "security").glob("*.json")))

    # -- containers ------------------------------------------------------

    def test_killed_before_the_barrier(self) -> None:
        with Boxes() as boxes:
            boxes.agents[2].gone = True
            job = boxes.start("--nodes=3")
            job.wait_text("2 of 3 nodes are here", 90)
            self.assertIn("2 of 3 nodes", job.output())
            boxes.placer.vanish(boxes.tasks()[0])
            boxes.agents[2].gone = False
            job.wait_text("connection file:", 120)
            self.assertEqual(boxes.count(6), 6)
            self.assertGreaterEqual(len(boxes.placer.names), 4)

    def test_killed_during_the_barrier(self) -> None:
        with Boxes() as boxes:
            job = boxes.start("--nodes=3")
            job.wait_text("preparing generation", 90)
            boxes.placer.vanish(boxes.tasks()[1])
            job.wait_text("connection file:", 120)
            self.assertEqual(boxes.count(6), 6)

    def test_a_killed_container_loses_its_engines_only(self) -> None:
        with Boxes() as boxes:
            job = boxes.ready("--nodes=3")
            hosts = boxes.hosts_of()
            victim = boxes.other()
            lost = [i for i, h in enumerate(hosts) if h == victim.handle]
            self.assertEqual(len(lost), 2)
            code = (
                f"lost = {lost}\n"
                "kept = [i for i in rc.ids if i not in lost]\n"
                "view = rc.load_balanced_view(kept)\n"
                "import subprocess\n"
                "rc[:]['mark'] = 42\n"
                "ar = rc[kept].apply_async(time.sleep, 3)\n"
                f"subprocess.run(['docker', 'kill', {victim.handle!r}],"
                " check=True, stdout=subprocess.DEVNULL)\n"
                "ar.get(30)\n"
                "end = time.time() + 60\n"
                "while set(rc.ids) != set(kept) and time.time() < end:\n"
                "    time.sleep(0.2)\n"
                "assert sorted(rc.ids) == kept, rc.ids\n"
                "assert rc[:]['mark'] == [42] * 4\n"
                "assert view.map_sync(lambda x: x * x, range(50)) == "
                "[x * x for x in range(50)]\n"
                "print('well')\n")
            self.assertIn("well", boxes.python(code, 180))
            self.assertIsNone(job.process.poll())
            # What Marathon puts there instead takes its place.
            job.wait_text("has joined: 2 engines", 90)
            self.assertEqual(boxes.count(6), 6)
            self.assertEqual(job.stop(), 0, job.output())

    def test_no_such_image(self) -> None:
        with Boxes(1) as boxes:
            job = boxes.start("--image=ipmpi/no-such-image",
                              "--join-timeout=15")
            self.assertEqual(job.wait(60), 70, job.output())
            self.assertIn("last failure on host0", job.output())
            self.assertEqual(boxes.server.model.apps, {})

    def test_never_enough_offers(self) -> None:
        with Boxes() as boxes:
            boxes.agents[2].cpus = 1
            job = boxes.start("--nodes=3", "--join-timeout=20")
            self.assertEqual(job.wait(90), 70, job.output())
            self.assertIn("2 of 3 nodes placed", job.output())
            self.assertIn("offers too few cpus", job.output())
            self.assertEqual(boxes.server.model.apps, {})

    # -- Marathon --------------------------------------------------------

    def test_leader_changes_and_events_come_twice(self) -> None:
        with Boxes() as boxes:
            boxes.server.model.double_events = True
            job = boxes.start("--nodes=3")
            job.wait_text("application /ipmpi", 60)
            boxes.server.change_leader(1.0)
            job.wait_text("connection file:", 120)
            boxes.server.change_leader(0.5)
            self.assertEqual(boxes.count(6), 6)
            threading.Timer(0.3, boxes.server.change_leader,
                            args=(1.0,)).start()
            self.assertEqual(job.stop(), 0, job.output())
            self.assertEqual(boxes.server.model.apps, {})

    # -- the network -----------------------------------------------------

    def test_a_cut_link_fences(self) -> None:
        with Boxes() as boxes:
            job = boxes.ready("--nodes=3")
            victim = boxes.other()
            boxes.placer.cut(victim, boxes.network)
            job.wait_text("the job goes on without it", 60)
            # The cut-off side ends its ranks itself.
            wait_for(lambda: boxes.work_left(victim) == 0, 60,
                     "an empty node")
            self.assertEqual(boxes.count(4), 4)
            self.assertEqual(job.stop(), 0, job.output())

    def test_a_cut_off_leader_is_not_a_second_one(self) -> None:
        with Boxes() as boxes:
            job = boxes.ready("--nodes=2", "--min-nodes=1", "--last-call=2")
            old = boxes.leader()
            boxes.placer.cut(old, boxes.network)
            job.wait_text("generation 2 runs", 90)
            wait_for(lambda: boxes.leader() is not old, 60,
                     "the new connection file")
            self.assertIsNot(boxes.leader(), old)
            self.assertEqual(boxes.count(2), 2)
            # Nobody could tell it yet: it goes on for itself.
            self.assertGreater(boxes.work_left(old), 0)
            boxes.placer.mend(old, boxes.network)
            # Then its generation ends, and it serves the new one.
            job.wait_text("has joined: 2 engines", 120)
            self.assertIsNot(boxes.leader(), old)
            self.assertEqual(boxes.count(4), 4)
            self.assertEqual(job.stop(), 0, job.output())


if __name__ == "__main__":
    need_docker()
    clean_up_when_told()
    unittest.main(verbosity=2)
