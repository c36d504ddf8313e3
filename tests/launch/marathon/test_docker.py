"""The real thing: containers of our image on a private network, placed by the
stand-in, with an unmodified ipyparallel client outside; faults; and what a
stranger on that network can see and do. Needs a Docker engine and the image
ipmpi/engine (containers/build); exits 77 where there is none."""
from __future__ import annotations

import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path[:0] = [str(path) for path in Path(__file__).resolve().parents[:3]]
from harness.processes import clean_up_when_told  # noqa: E402
from nodes import IPMPI, ROOT, Job, wait_for  # noqa: E402
from standin import Agent, DockerPlacer, Standin  # noqa: E402
from standin.placing import docker  # noqa: E402

IMAGE = os.environ.get("IPMPI_IMAGE", "ipmpi/engine")
CLIENT = os.environ.get("IPMPI_CLIENT_PYTHON", "/usr/bin/python3")


def has_docker() -> bool:
    try:
        return bool(docker("images", "-q", IMAGE))
    except (OSError, RuntimeError, subprocess.TimeoutExpired):
        return False


class Boxes:
    """Three hosts with one container each, several engines in each."""

    def __init__(self, agents: int = 3) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="ipmpi-docker-")
        self.path = Path(self.directory.name)
        self.profile = self.path / "profile"
        tag = f"ipmpi-test-{os.getpid()}"
        self.network = f"{tag}-net"
        # Tracebacks show source lines only where the source is.
        self.placer = DockerPlacer(tag, [self.network], [
            f"--volume={ROOT / 'tests'}:{ROOT / 'tests'}:ro"])
        self.agents = [Agent(hostname=f"host{i}") for i in range(agents)]
        self.server = Standin(self.agents, self.placer, heartbeat=1)
        self.job: Job | None = None

    def start(self, *arguments: str) -> Job:
        self.job = Job([str(IPMPI), "marathon", "start", "--job=boxes",
                        f"--marathon={self.server.urls}", f"--image={IMAGE}",
                        f"--container-network={self.network}",
                        f"--profile-dir={self.profile}", *arguments],
                       self.path)
        return self.job

    def ready(self, *arguments: str) -> Job:
        job = self.start(*arguments)
        job.wait_text("connection file:", 120)
        return job

    def python(self, code: str, seconds: float = 120) -> str:
        """Runs client code; `rc` is a Client of this cluster."""
        before = ("import ipyparallel as ipp, os, time\n"
                  f"rc = ipp.Client(profile_dir={str(self.profile)!r})\n")
        done = subprocess.run(
            [CLIENT, "-W", "ignore", "-c", before + code],
            capture_output=True, text=True, timeout=seconds,
            env={**os.environ, "IPYTHONDIR": str(self.path / "ipython")})
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr
                               + self.job.output())
        return done.stdout

    def tasks(self) -> list:
        return [t for a in self.server.model.apps.values()
                for t in a.tasks.values() if t.state == "TASK_RUNNING"]

    def hosts_of(self) -> list[str]:
        """Host name of each engine, by id."""
        return json.loads(self.python(
            "import json, socket\n"
            "print(json.dumps(rc[:].apply_sync(socket.gethostname)))"))

    def memory(self) -> list[int]:
        """Of each engine, as `ipmpi status` on this host sees it."""
        text = subprocess.run(
            [str(IPMPI), "status", "--json", f"--profile-dir={self.profile}"],
            capture_output=True, text=True, timeout=60, check=True).stdout
        return [engine["rss"] for engine in json.loads(text)["engines"]]

    def leader(self) -> str:
        """Container of rank 0: the one of the connection file's address."""
        info = json.loads((self.profile / "security/ipcontroller-client.json")
                          .read_text())
        address = info["interface"].split("//")[1]
        return next(t.handle for t in self.tasks()
                    if t.addresses == [address])

    def __enter__(self) -> "Boxes":
        return self

    def __exit__(self, *_) -> None:
        if self.job is not None:
            self.job.kill()
        self.server.close()
        self.directory.cleanup()


class Docker(unittest.TestCase):
    def test_one_container_is_a_cluster(self) -> None:
        name = f"ipmpi-one-{os.getpid()}"
        docker("run", "--detach", "--name", name, "--env", "IPMPI_ENGINES=2",
               IMAGE)
        try:
            def answer() -> str:
                return docker("exec", name, "python3", "-W", "ignore", "-c",
                              "import ipyparallel as ipp\n"
                              "rc = ipp.Client()\n"
                              "rc[:].apply_sync(lambda: 1)\n"
                              "print(len(rc))", check=False)
            wait_for(lambda: answer() == "2", 90, "two engines")
            self.assertEqual(docker("exec", name, "id", "-u"), "1000")
            began = time.monotonic()
            docker("stop", "--time", "20", name)
            self.assertLess(time.monotonic() - began, 15)
        finally:
            docker("rm", "--force", name, check=False)

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

    def test_a_killed_container_loses_its_engines_only(self) -> None:
        with Boxes() as boxes:
            job = boxes.ready("--nodes=3")
            hosts = boxes.hosts_of()
            leader = boxes.leader()
            victim = next(t for t in boxes.tasks() if t.handle != leader)
            lost = [i for i, h in enumerate(hosts) if h == victim.handle]
            self.assertEqual(len(lost), 2)
            code = (
                f"lost = {lost}\n"
                "kept = [i for i in rc.ids if i not in lost]\n"
                "view = rc.load_balanced_view(kept)\n"
                "import subprocess\n"
                "ar = rc[kept].apply_async(time.sleep, 3)\n"
                f"subprocess.run(['docker', 'kill', {victim.handle!r}],"
                " check=True, stdout=subprocess.DEVNULL)\n"
                "ar.get(30)\n"
                "end = time.time() + 60\n"
                "while set(rc.ids) != set(kept) and time.time() < end:\n"
                "    time.sleep(0.2)\n"
                "assert sorted(rc.ids) == kept, rc.ids\n"
                "assert rc[:].apply_sync(lambda: 6 * 7) == [42] * 4\n"
                "assert view.map_sync(lambda x: x * x, range(50)) == "
                "[x * x for x in range(50)]\n"
                "print('well')\n")
            self.assertIn("well", boxes.python(code, 180))
            self.assertIsNone(job.process.poll())
            # What Marathon puts there instead takes its place.
            job.wait_text("has joined: 2 engines", 90)
            self.assertIn("6", boxes.python("""
end = time.time() + 60
while len(rc) != 6 and time.time() < end:
    time.sleep(0.2)
rc[:].apply_sync(os.getpid)
print(len(rc))"""))
            self.assertEqual(job.stop(), 0, job.output())

    def test_a_cut_link_fences(self) -> None:
        with Boxes() as boxes:
            job = boxes.ready("--nodes=3")
            leader = boxes.leader()
            victim = next(t for t in boxes.tasks() if t.handle != leader)
            boxes.placer.cut(victim, boxes.network)
            job.wait_text("the job goes on without it", 60)

            def engines() -> str:
                return docker("exec", victim.handle, "sh", "-c",
                              "cat /proc/[0-9]*/comm | grep -c -e orted "
                              "-e ipmpi-engine", check=False)
            # The cut-off side ends its ranks itself.
            wait_for(lambda: engines() == "0", 60, "an empty node")
            self.assertIn("4", boxes.python("""
end = time.time() + 60
while len(rc) != 4 and time.time() < end:
    time.sleep(0.2)
rc[:].apply_sync(os.getpid)
print(len(rc))"""))
            self.assertEqual(job.stop(), 0, job.output())

    def test_no_such_image(self) -> None:
        with Boxes(1) as boxes:
            job = boxes.start("--image=ipmpi/no-such-image",
                              "--join-timeout=15")
            self.assertEqual(job.wait(60), 70, job.output())
            self.assertIn("last failure on host0", job.output())
            self.assertEqual(boxes.server.model.apps, {})


def hello(job: str, generation: int, role: int, mode: int) -> bytes:
    """A well-formed greeting of our protocol, by one without keys."""
    return (b"IPMPI\0\0\1" + bytes([role, mode]) + bytes(6)
            + struct.pack(">Q", generation) + job.encode().ljust(64, b"\0")
            + os.urandom(64))


class Security(unittest.TestCase):
    """What is on the wire, and what a stranger there can do."""

    def capture(self, boxes: Boxes) -> subprocess.Popen:
        found = json.loads(docker("network", "inspect", boxes.network))[0]
        process = subprocess.Popen(
            ["tcpdump", "-i", f"br-{found['Id'][:12]}", "-w",
             str(boxes.path / "traffic"), "-s", "0", "-U"],
            stderr=subprocess.PIPE)
        process.stderr.readline()  # "listening on .."
        return process

    def secrets(self, boxes: Boxes) -> list[bytes]:
        """Every form in which a key could be seen."""
        state = json.loads((boxes.path / ".ipmpi/jobs/boxes.json")
                           .read_text())
        client = json.loads((boxes.profile / "security"
                             "/ipcontroller-client.json").read_text())
        texts = [state["secret"], state["private"], client["key"]]
        for task in boxes.tasks():
            texts.append(docker("exec", task.handle, "sh", "-c",
                                "cat /tmp/ipmpi-agent.*/key", check=False))
        texts = [t for t in texts if re.fullmatch("[0-9a-f]{64}", t)]
        self.assertGreaterEqual(len(texts), 4)
        return [form for t in texts
                for form in (t.encode(), bytes.fromhex(t))]

    @unittest.skipUnless(shutil.which("tcpdump"), "needs tcpdump")
    def test_no_key_is_on_the_wire_or_in_marathon(self) -> None:
        with Boxes() as boxes:
            sniffer = self.capture(boxes)
            job = boxes.ready("--nodes=3")
            boxes.python("rc[:].apply_sync(lambda: 1)")
            secrets = self.secrets(boxes)
            self.assertEqual(job.stop(), 0, job.output())
            sniffer.terminate()
            sniffer.wait(10)
            traffic = (boxes.path / "traffic").read_bytes()
            self.assertIn(b"IPMPI\0\0\1", traffic)  # it was recorded
            seen = traffic + json.dumps(boxes.server.requests).encode()
            for secret in secrets:
                self.assertNotIn(secret, seen)
            self.assertNotIn(secrets[0].decode(), job.output())

    def talk(self, address: str, data: bytes) -> bytes:
        with socket.create_connection((address, 7070), 5) as sock:
            sock.settimeout(8)
            sock.sendall(data)
            answer = b""
            try:
                while True:
                    more = sock.recv(65536)
                    if not more:
                        return answer
                    answer += more
            except (TimeoutError, ConnectionResetError):
                return answer

    def test_a_stranger_gets_nothing(self) -> None:
        with Boxes() as boxes:
            job = boxes.ready("--nodes=3")
            record = b"\0\0\0\x20" + os.urandom(48)
            for task in boxes.tasks():
                address = task.addresses[0]
                for what in (
                        b"", b"GET / HTTP/1.0\r\n\r\n", os.urandom(300),
                        hello("boxes", 1, 2, 1) + os.urandom(32) + record,
                        hello("boxes", 0, 1, 1) + os.urandom(32) + record,
                        hello("boxes", 0, 1, 2) + os.urandom(32) + record,
                        hello("other", 0, 1, 2) + os.urandom(32),
                        hello("boxes", 2, 2, 2)):
                    answer = self.talk(address, what)
                    # At most its nonce, key and proof; never a record.
                    self.assertLessEqual(len(answer), 104)
            # A launcher with keys of its own can neither join nor stop.
            stranger = Job([str(IPMPI), "hosts", "--job=boxes",
                            "--join-timeout=3", "--secret-file="
                            + str(self.key(boxes)),
                            *[f"--host={t.addresses[0]}"
                              for t in boxes.tasks()], "hostname"],
                           boxes.path)
            self.assertEqual(stranger.wait(), 70, stranger.output())
            self.assertIn("does not know this job or its secret",
                          stranger.output())
            # Many strangers at once do not keep the job from its agents.
            crowd = [socket.create_connection((t.addresses[0], 7070), 5)
                     for t in boxes.tasks() for _ in range(100)]
            boxes.python("rc[:].apply_sync(lambda: 1)")
            status = Job([str(IPMPI), "marathon", "status", "--job=boxes"],
                         boxes.path)
            self.assertEqual(status.wait(), 0, status.output())
            self.assertEqual(status.output().count("engines"), 2,
                             status.output())
            for sock in crowd:
                sock.close()
            boxes.python("assert len(rc) == 6")
            self.assertEqual(job.stop(), 0, job.output())

    @staticmethod
    def key(boxes: Boxes) -> Path:
        path = boxes.path / "stranger"
        path.write_text("the key of somebody else")
        path.chmod(0o600)
        return path


if __name__ == "__main__":
    if not has_docker():
        print(f"no Docker engine with {IMAGE}")
        sys.exit(77)
    clean_up_when_told()
    unittest.main(verbosity=2)
