"""`ipmpi hosts`: real jobs over agents in namespaces, with faults."""
from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import unittest
from pathlib import Path

sys.path[:0] = [str(path) for path in Path(__file__).resolve().parents[:3]]
from harness.processes import clean_up_when_told  # noqa: E402
from nodes import HELLO, IPMPI, Job, Nodes, wait_for  # noqa: E402


def leader_of(output: str) -> str:
    """Name of the node that rank 0 said it is on (of the last start)."""
    return re.findall(r"rank 0 of \d+ on (\S+)", output)[-1]


CLIENT = os.environ.get("IPMPI_CLIENT_PYTHON", "/usr/bin/python3")
# Answers each number of engines with the hosts that have them, rank 0's first.
CLIENT_CODE = """
import ipyparallel as ipp, socket, sys, time
rc = ipp.Client(profile_dir='{profile}')
def hosts():
    return rc[:].apply_sync(socket.gethostname)
first = None
for line in sys.stdin:
    end = time.time() + 60
    while len(rc) != int(line) and time.time() < end:
        time.sleep(0.1)
    found = hosts()
    first = first or found[0]
    rc.load_balanced_view().map_sync(lambda x: x * x, range(40))
    print(first, *found, flush=True)
"""


@contextlib.contextmanager
def cluster_on(count: int, *options: str):
    """So many nodes, the cluster on them, and a client's question: where are
    the engines, once there are N of them? Rank 0's host comes first."""
    path = {"PATH": f"{IPMPI.parent}:{os.environ['PATH']}"}
    with Nodes(count, environment=path) as nodes:
        profile = nodes.path / "profile"
        job = nodes.hosts(["--", f"--python={CLIENT}"],
                          f"--profile-dir={profile}", *options)
        job.wait_text("connection file:")
        with subprocess.Popen(
                [CLIENT, "-W", "ignore", "-c",
                 CLIENT_CODE.format(profile=profile)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env={**os.environ, "HOME": str(nodes.path),
                     "IPYTHONDIR": str(nodes.path / "i")}) as client:
            def ask(wanted: int) -> list[str]:
                print(wanted, file=client.stdin, flush=True)
                return client.stdout.readline().split()
            try:
                yield nodes, job, ask
            finally:
                client.kill()


class Hosts(unittest.TestCase):
    def test_a_job_over_three_nodes(self) -> None:
        with Nodes(3) as nodes:
            job = nodes.hosts([str(HELLO)])
            self.assertEqual(job.wait(), 0, job.output())
            text = job.output()
            self.assertIn("ring of 6: good", text)
            for name in ("h0", "h1", "h2"):
                self.assertEqual(
                    len(re.findall(rf"rank \d of 6 on {name} ", text)), 2)
            # Only rank 0 is given the clients' key.
            self.assertEqual(re.findall(r"rank (\d) .* key 1", text), ["0"])
            # The agents are there for the next one.
            again = nodes.hosts([str(HELLO)])
            self.assertEqual(again.wait(), 0, again.output())
            self.assertIn("generation 2", again.output())

    def test_the_exit_code_is_the_jobs(self) -> None:
        with Nodes(2) as nodes:
            job = nodes.hosts([str(HELLO), "--exit", "3"])
            self.assertEqual(job.wait(), 3, job.output())
            job = nodes.hosts(["/nonexistent"])
            self.assertNotEqual(job.wait(), 0, job.output())

    def test_declared_ports_are_used(self) -> None:
        ports = []
        for _ in range(6):
            with socket.socket() as sock:
                sock.bind(("127.0.0.1", 0))
                ports.append(sock.getsockname()[1])
        with Nodes(0) as nodes:
            for index in range(2):
                mine = ports[index * 3:index * 3 + 3]
                nodes.add(f"h{index}", environment={
                    f"PORT_MPI{i}": str(port) for i, port in enumerate(mine)})
            job = nodes.hosts([str(HELLO)])
            self.assertEqual(job.wait(), 0, job.output())
            used = re.findall(r"port (\d+)", job.output())
            self.assertEqual(len(used), 4)
            self.assertTrue(set(used) <= {str(port) for port in ports})

    def test_a_lost_node_is_not_a_lost_job(self) -> None:
        with Nodes(3) as nodes:
            go = nodes.path / "go"
            job = nodes.hosts([str(HELLO), "--hold", str(go)], "--keep-going")
            job.wait_text("ring of 6: good")
            leader = leader_of(job.output())
            victim = next(n for n in nodes.list if n.name != leader)
            victim.kill()
            job.wait_text("is lost")
            go.touch()
            self.assertEqual(job.wait(), 0, job.output())
            self.assertIn("held for", job.output())

    def test_a_cluster_outlives_a_lost_node(self) -> None:
        with cluster_on(3) as (nodes, job, ask):
            leader, *hosts = ask(6)
            victim = next(h for h in hosts if h != leader)
            next(n for n in nodes.list if n.name == victim).kill()
            self.assertEqual(ask(4), [leader, *(h for h in hosts
                                                if h != victim)])
            self.assertNotIn("generation 2", job.output())
            self.assertEqual(job.stop(), 0, job.output())

    def test_a_spare_takes_a_lost_nodes_place(self) -> None:
        """One of the nodes the job began with, then the one that came."""
        with cluster_on(4, "--nodes=2") as (nodes, job, ask):
            leader, *others = ask(4)
            gone = {leader}
            for loss in (1, 2):
                victim = next(h for h in others if h not in gone)
                gone.add(victim)
                next(n for n in nodes.list if n.name == victim).kill()
                job.wait_text("is lost")
                wait_for(lambda: job.output().count("has joined: 2 engines")
                         == loss, 60, "a spare in its place")
                first, *others = ask(4)
                self.assertEqual(first, leader)
                self.assertNotIn(victim, others)
            self.assertNotIn("generation 2", job.output())
            self.assertEqual(job.stop(), 0, job.output())

    def test_a_lost_leader_begins_a_new_generation(self) -> None:
        with Nodes(3) as nodes:
            go = nodes.path / "go"
            job = nodes.hosts([str(HELLO), "--hold", str(go)], "--keep-going",
                              "--nodes=2")
            job.wait_text("ring of 4: good")
            leader = leader_of(job.output())
            next(n for n in nodes.list if n.name == leader).kill()
            job.wait_text("generation 2 runs")
            wait_for(lambda: job.output().count("ring of 4: good") == 2,
                     what="second ring")
            self.assertNotEqual(leader_of(job.output()), leader)
            go.touch()
            self.assertEqual(job.wait(), 0, job.output())

    def asleep(self, nodes: Nodes, job: Job) -> None:
        """The launcher stands still until all agents have given it up."""
        job.process.send_signal(signal.SIGSTOP)
        wait_for(lambda: all("deadline passed; dropped" in n.output()
                             for n in nodes.list), 60, "silence noticed")

    def test_a_launcher_that_slept_finds_its_job(self) -> None:
        with Nodes(3) as nodes:
            go = nodes.path / "go"
            job = nodes.hosts([str(HELLO), "--hold", str(go)], "--keep-going")
            job.wait_text("ring of 6: good")
            self.asleep(nodes, job)
            job.process.send_signal(signal.SIGCONT)
            wait_for(lambda: job.output().count("is back") == 3,
                     what="all nodes back")
            go.touch()
            self.assertEqual(job.wait(), 0, job.output())
            self.assertIn("held for", job.output())
            self.assertNotIn("generation 2", job.output())

    def test_a_launcher_that_slept_hears_of_the_end(self) -> None:
        with Nodes(2) as nodes:
            go = nodes.path / "go"
            job = nodes.hosts([str(HELLO), "--hold", str(go), "--exit", "3"],
                              "--keep-going")
            job.wait_text("ring of 4: good")
            self.asleep(nodes, job)
            go.touch()
            wait_for(lambda: any("generation 1 ended" in n.output()
                                 for n in nodes.list), 60, "the job's end")
            job.process.send_signal(signal.SIGCONT)
            self.assertEqual(job.wait(), 3, job.output())
            self.assertNotIn("generation 2", job.output())

    def test_killed_before_the_barrier(self) -> None:
        with Nodes(2) as nodes:
            job = nodes.hosts([str(HELLO)], "--min-nodes=2", "--nodes=3",
                              "--last-call=60")
            job.wait_text("last call")
            nodes.list[0].kill()
            job.wait_text("1 of 3 nodes are here")
            job.kill()

    def test_too_few_nodes_says_why(self) -> None:
        with Nodes(1) as nodes:
            other = nodes.path / "other"
            other.write_text("another secret, of another job")
            other.chmod(0o600)
            nodes.add("stranger", secret=other)
            gone = nodes.add("gone")
            gone.address
            gone.kill()
            job = nodes.hosts([str(HELLO)], "--join-timeout=3")
            self.assertEqual(job.wait(), 70, job.output())
            self.assertIn("here, waiting for the others", job.output())
            self.assertIn("does not know this job or its secret", job.output())
            self.assertIn("connection refused", job.output())

    def test_stop_ends_all_processes(self) -> None:
        with Nodes(2) as nodes:
            job = nodes.hosts([str(HELLO), "--hold", str(nodes.path / "go")],
                              "--keep-going")
            job.wait_text("ring of 4: good")
            job.stop()

            def hellos() -> str:
                return subprocess.run(
                    ["pgrep", "-f", str(nodes.path / "go")],
                    capture_output=True, text=True).stdout
            wait_for(lambda: not hellos(), what="no process left")
            for node in nodes.list:
                self.assertEqual(node.stop(), 0, node.output())

    def test_a_stopped_node_says_so(self) -> None:
        with Nodes(2) as nodes:
            job = nodes.hosts([str(HELLO), "--hold", str(nodes.path / "go")],
                              "--keep-going")
            job.wait_text("ring of 4: good")
            leader = leader_of(job.output())
            node = next(n for n in nodes.list if n.name == leader)
            self.assertEqual(node.stop(), 0, node.output())
            self.assertIn("leaving in good order", node.output())
            job.kill()

    def test_usage(self) -> None:
        for arguments, code in ((["hosts"], 64), (["nonsense"], 64),
                                (["help"], 0), (["help", "hosts"], 0),
                                (["rsh"], 64), (["rsh", "n1", "orted"], 65),
                                (["agent"], 64), (["--version"], 0)):
            done = subprocess.run(
                [str(IPMPI), *arguments], capture_output=True, timeout=30,
                env={k: v for k, v in os.environ.items()
                     if not k.startswith("IPMPI_")})
            self.assertEqual(done.returncode, code, (arguments, done))


if __name__ == "__main__":
    clean_up_when_told()
    unittest.main(verbosity=2)
