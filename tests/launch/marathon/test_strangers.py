"""What others on the network of a job's containers can see of it, and what
they can do to it."""
from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path[:0] = [str(path) for path in Path(__file__).resolve().parents[:3]]
from harness.processes import clean_up_when_told  # noqa: E402
from boxes import CLIENT, Boxes, need_docker  # noqa: E402
from nodes import IPMPI, Job  # noqa: E402
from recorder import Recorder  # noqa: E402
from standin.placing import docker  # noqa: E402

HERE = Path(__file__).resolve().parent
AGENT_PORT = 7070
NOTICE_LEN = 384  # of struct ipmpi_datagram
DOORS = ("registration", "control", "mux", "task", "broadcast", "iopub",
         "notification")
#: These publish to whoever subscribes, as ipyparallel's do without CURVE.
PUBLISH = ("iopub", "notification")


def hello(job: str, generation: int, role: int, mode: int) -> bytes:
    """A well-formed greeting of our protocol, by one without keys."""
    return (b"IPMPI\0\0\1" + bytes([role, mode]) + bytes(6)
            + struct.pack(">Q", generation) + job.encode().ljust(64, b"\0")
            + os.urandom(64))


def notice(token: bytes, rank: int) -> bytes:
    """"Rank N is dead", as a nanny tells rank 0, by one without the token."""
    whole = struct.pack("=II16sQiiiI64s", 0x69706d62, 2, token, 7, rank, 1, 9,
                        0, b"host")
    return whole + bytes(NOTICE_LEN - len(whole))


def say(address: str, port: int, data: bytes) -> bytes:
    """What a TCP port answers until it closes, or is silent for 3 s."""
    answer = b""
    try:
        with socket.create_connection((address, port), 5) as sock:
            sock.settimeout(3)
            sock.sendall(data)
            while more := sock.recv(65536):
                answer += more
    except (TimeoutError, ConnectionError):
        pass
    return answer


def say_all(rows: list[tuple[str, int, bytes]]) -> list[bytes]:
    """The answers to many, all at once."""
    with ThreadPoolExecutor(len(rows)) as pool:
        return list(pool.map(lambda row: say(*row), rows))


def own_udp_ports(task) -> list[int]:
    """UDP ports in a container: bells, for Open MPI has none."""
    text = docker("exec", task.handle, "cat", "/proc/net/udp")
    return sorted({int(row.split()[1].split(":")[1], 16)
                   for row in text.splitlines()[1:]})


class Strangers(unittest.TestCase):
    def secrets(self, boxes: Boxes) -> list[bytes]:
        """Every form in which a key could be seen."""
        state = json.loads((boxes.path / ".ipmpi/jobs/boxes.json")
                           .read_text())
        texts = [state["secret"], state["private"], boxes.connection()["key"]]
        for task in boxes.tasks():
            texts.append(docker("exec", task.handle, "sh", "-c",
                                "cat /tmp/ipmpi-agent.*/key"))
            table = docker("exec", task.handle, "sh", "-c",
                           "cat /tmp/ipmpi-agent.*/table", check=False)
            if table:
                texts.append(json.loads(table)["key"])
        self.assertEqual(len(texts), 3 + len(boxes.tasks()) + 1)
        for text in texts:
            self.assertRegex(text, "^[0-9a-f]{64}$")
        return [form for t in set(texts)
                for form in (t.encode(), bytes.fromhex(t))]

    def test_no_key_is_on_the_wire_or_in_marathon(self) -> None:
        with Boxes() as boxes:
            recorder = Recorder(boxes.network)
            job = boxes.ready("--nodes=3")
            boxes.python("rc[:].apply_sync(lambda: MPI.COMM_WORLD.Barrier())")
            secrets = self.secrets(boxes)
            boxes.placer.vanish(boxes.other())
            job.wait_text("has joined: 2 engines", 90)
            addresses = {t.addresses[0] for t in boxes.tasks()}
            shown = [docker("inspect", name) for name in boxes.placer.names]
            printed = [docker("logs", name) for name in boxes.placer.names]
            self.assertEqual(job.stop(), 0, job.output())
            self.assertEqual(recorder.close(), 0, "frames were missed")
            streams = recorder.streams()
            # It was recorded: greetings, and what containers said to others.
            self.assertTrue(any(data.startswith(b"IPMPI\0\0\1")
                                for data in streams.values()))
            self.assertTrue(any({a, b} <= addresses
                                for a, b, *_ in streams))
            public = json.dumps(boxes.server.requests) + "".join(
                shown + printed) + job.output()
            seen = [*recorder.frames, *streams.values(), public.encode()]
            for secret in secrets:
                self.assertFalse(any(secret in data for data in seen))

    def test_our_agents_answer_no_stranger(self) -> None:
        record = b"\0\0\0\x20" + os.urandom(48)
        with Boxes() as boxes:
            job = boxes.ready("--nodes=3")
            for answer in say_all([
                    (task.addresses[0], AGENT_PORT, what)
                    for task in boxes.tasks() for what in (
                        b"", b"GET / HTTP/1.0\r\n\r\n", os.urandom(300),
                        hello("boxes", 1, 2, 1) + os.urandom(32) + record,
                        hello("boxes", 0, 1, 1) + os.urandom(32) + record,
                        hello("boxes", 0, 1, 2) + os.urandom(32) + record,
                        hello("other", 0, 1, 2) + os.urandom(32),
                        hello("boxes", 2, 2, 2))]):
                # At most its nonce, key and proof; never a record.
                self.assertLessEqual(len(answer), 104)
            # A launcher with keys of its own can neither join nor stop.
            key = boxes.path / "stranger"
            key.write_text("the key of somebody else")
            key.chmod(0o600)
            stranger = Job([str(IPMPI), "hosts", "--job=boxes",
                            "--join-timeout=3", f"--secret-file={key}",
                            *[f"--host={t.addresses[0]}"
                              for t in boxes.tasks()], "hostname"],
                           boxes.path)
            self.assertEqual(stranger.wait(), 70, stranger.output())
            self.assertIn("does not know this job or its secret",
                          stranger.output())
            # Many strangers at once do not keep the job from its agents.
            crowd = [socket.create_connection((t.addresses[0], AGENT_PORT), 5)
                     for t in boxes.tasks() for _ in range(100)]
            status = Job([str(IPMPI), "marathon", "status", "--job=boxes"],
                         boxes.path)
            self.assertEqual(status.wait(), 0, status.output())
            self.assertEqual(status.output().count("engines"), 2,
                             status.output())
            for sock in crowd:
                sock.close()
            self.assertEqual(boxes.count(6), 6)
            self.assertEqual(job.stop(), 0, job.output())

    def test_rank_0_and_the_bells_obey_no_stranger(self) -> None:
        with Boxes() as boxes:
            job = boxes.ready("--nodes=3")
            info = boxes.connection()
            leader = boxes.leader()
            engines = boxes.python("print(rc[:].apply_sync(os.getpid))")
            done = subprocess.run(
                [CLIENT, "-W", "ignore", str(HERE / "stranger.py"),
                 str(boxes.profile / "security/ipcontroller-client.json")],
                capture_output=True, text=True, timeout=120,
                env={**os.environ, "IPYTHONDIR": str(boxes.path / "i")})
            self.assertEqual(done.stdout.strip(), "[]", done.stderr)
            rows = [(door, what) for door in DOORS for what in (
                b"", os.urandom(300),
                b"\xff" + bytes(8) + b"\x7f\3" + os.urandom(4096))]
            for (door, _), answer in zip(rows, say_all(
                    [(leader.addresses[0], info[door], what)
                     for door, what in rows])):
                # At most ZMTP's own greeting.
                self.assertLessEqual(len(answer), 1 << 20
                                     if door in PUBLISH else 64)
                self.assertNotIn(info["key"].encode(), answer)
            bells = {task.handle: own_udp_ports(task)
                     for task in boxes.tasks()}
            self.assertTrue(bells[leader.handle])
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                for task in boxes.tasks():
                    for port in bells[task.handle]:
                        for rank in range(7):
                            sock.sendto(notice(os.urandom(16), rank),
                                        (task.addresses[0], port))
                        sock.sendto(os.urandom(600),
                                    (task.addresses[0], port))
            # Nobody ran anything, nobody is gone, and no engine is new.
            for task in boxes.tasks():
                self.assertEqual(docker("exec", task.handle, "sh", "-c",
                                        "ls /tmp/owned || true"), "")
            self.assertEqual(
                boxes.python("print(rc[:].apply_sync(os.getpid))"), engines)
            self.assertEqual(job.stop(), 0, job.output())

    def test_every_port_is_somebodys(self) -> None:
        """What listens in containers: an agent, rank 0's doors, and Open MPI
        (of each rank one port, of mpirun and each daemon theirs)."""
        with Boxes() as boxes:
            job = boxes.ready("--nodes=3")
            doors = {boxes.connection()[door] for door in DOORS}
            leader = boxes.leader()
            for task in boxes.tasks():
                text = docker("exec", task.handle, "sh", "-c",
                              "cat /proc/net/tcp /proc/net/tcp6")
                rows = [row.split() for row in text.splitlines()]
                ports = {int(row[1].split(":")[1], 16) for row in rows
                         if row[3] == "0A"
                         and row[1].split(":")[0] not in ("0100007F",
                                                          "0B00007F")}
                ours = {AGENT_PORT} | (doors if task is leader else set())
                self.assertTrue(ours <= ports, (ours, ports))
                ranks = 3 if task is leader else 2
                # IPv4 and IPv6 apart: two a rank, two of a daemon.
                self.assertLessEqual(len(ports - ours), 2 * ranks + 2, ports)
            self.assertEqual(job.stop(), 0, job.output())


if __name__ == "__main__":
    need_docker()
    clean_up_when_told()
    unittest.main(verbosity=2)
