"""One container is a cluster: for a client in it, beside it, or on its host;
and an image that a user extends by three lines is one, too."""
from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path[:0] = [str(path) for path in Path(__file__).resolve().parents[:3]]
from harness.processes import clean_up_when_told  # noqa: E402
from boxes import CLIENT, IMAGE, need_docker  # noqa: E402
from nodes import ROOT, wait_for  # noqa: E402
from standin.placing import docker  # noqa: E402

FILE = "/home/ipmpi/.ipython/profile_default/security/ipcontroller-client.json"
#: What each client does; prints 2 engines' results and the user they run as.
CODE = ("import ipyparallel as ipp, os\n"
        "rc = ipp.Client({!r})\n"
        "rc.wait_for_engines(2, timeout=60) "
        "if hasattr(rc, 'wait_for_engines') else None\n"
        "print(rc[:].apply_sync(os.getuid))")


class Container(unittest.TestCase):
    def setUp(self) -> None:
        self.name = f"ipmpi-one-{os.getpid()}"
        self.addCleanup(docker, "rm", "--force", "--volumes", self.name,
                        check=False)
        directory = tempfile.TemporaryDirectory(prefix="ipmpi-one-")
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name)

    def run_one(self, *options: str, image: str = IMAGE,
                arguments: list[str] | None = None) -> None:
        """Starts it, and waits until it says that two engines are ready."""
        docker("run", "--detach", "--name", self.name, "--env",
               "IPMPI_ENGINES=2", *options, image, *(arguments or []))
        wait_for(lambda: "2 engines ready" in self.logs(), 90, "two engines")

    def logs(self) -> str:
        return subprocess.run(
            ["docker", "logs", self.name], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=30).stdout

    def on_the_host(self) -> str:
        """What a client on this host says, which has only the file."""
        docker("cp", f"{self.name}:{FILE}", str(self.path))
        file = self.path / Path(FILE).name
        self.assertEqual(file.stat().st_mode & 0o077, 0)
        done = subprocess.run(
            [CLIENT, "-W", "ignore", "-c", CODE.format(str(file))],
            capture_output=True, text=True, timeout=90,
            env={**os.environ, "IPYTHONDIR": str(self.path / "ipython")})
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def test_clients_inside_beside_and_outside(self) -> None:
        volume = f"{self.name}-files"
        self.addCleanup(docker, "volume", "rm", volume, check=False)
        shared = f"--volume={volume}:/home/ipmpi/.ipython"
        self.run_one(shared)
        self.assertEqual(docker("exec", self.name, "python3", "-W", "ignore",
                                "-c", CODE.format(None)), "[1000, 1000]")
        self.assertEqual(docker("run", "--rm", shared, IMAGE, "python3", "-W",
                                "ignore", "-c", CODE.format(None)),
                         "[1000, 1000]")
        self.assertEqual(self.on_the_host(), "[1000, 1000]")
        began = time.monotonic()
        docker("stop", "--time", "20", self.name)
        self.assertLess(time.monotonic() - began, 15)

    def test_published_ports(self) -> None:
        ports = "10101-10107"
        self.run_one(f"--publish=127.0.0.1:{ports}:{ports}", arguments=[
            "--ip=0.0.0.0", "--location=127.0.0.1", f"--ports={ports}"])
        self.assertEqual(self.on_the_host(), "[1000, 1000]")

    def test_in_the_hosts_network_it_listens_on_loopback(self) -> None:
        self.run_one("--network=host")
        self.assertIn("tcp://127.0.0.1:", self.logs())
        self.assertEqual(self.on_the_host(), "[1000, 1000]")

    def test_three_lines_extend_it(self) -> None:
        file = ROOT / "containers/example/Dockerfile"
        self.assertEqual(len(file.read_text().splitlines()), 3)
        (self.path / "Dockerfile").write_text(
            file.read_text().replace("FROM ipmpi/engine", f"FROM {IMAGE}"))
        tag = f"{self.name}:extended"
        self.addCleanup(docker, "image", "rm", "--force", tag, check=False)
        docker("build", "--network=host", "--quiet", "--tag", tag,
               str(self.path), seconds=600)
        self.run_one(image=tag)
        text = docker("exec", self.name, "python3", "-W", "ignore", "-c",
                      f"import ipyparallel as ipp\nrc = ipp.Client({FILE!r})\n"
                      "def version():\n    import scipy\n"
                      "    return scipy.__version__ > ''\n"
                      "print(rc[:].apply_sync(version))")
        self.assertEqual(text, "[True, True]")
        self.assertEqual(self.on_the_host(), "[1000, 1000]")  # not as root

    def test_nothing_in_it_that_lets_others_in(self) -> None:
        # There is a client's ssh, of openmpi-bin; there is no server.
        self.assertEqual(docker(
            "run", "--rm", IMAGE, "sh", "-c", "id -u; id -G; "
            "command -v sshd gcc sudo || echo none; "
            "test -w /usr/bin || echo not writable"),
            "1000\n1000\nnone\nnot writable")


if __name__ == "__main__":
    need_docker()
    clean_up_when_told()
    unittest.main(verbosity=2)
