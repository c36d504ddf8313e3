"""ipyparallel's Cluster on Marathon, by name: `controller="ipmpi-marathon"`.
The stand-in places agents in namespaces. Runs as root, with any Python that
has ipyparallel."""
from __future__ import annotations

import os
import sys
import tempfile
import unittest
from pathlib import Path

sys.path[:0] = [str(path) for path in Path(__file__).resolve().parents[:3]]
from harness import package, places  # noqa: E402
from harness.processes import clean_up_when_told  # noqa: E402
from standin import Agent, NamespacePlacer, Standin  # noqa: E402

import ipyparallel as ipp  # noqa: E402
from traitlets.config import Config  # noqa: E402

NEW = ipp.version_info[0] >= 8
NAMES = ({"controller": "ipmpi-marathon", "engines": "ipmpi-marathon"} if NEW
         else {"controller_launcher_class": "ipmpi-marathon",
               "engine_launcher_class": "ipmpi-marathon"})


class Launcher(unittest.TestCase):
    def setUp(self) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="ipmpi-launcher-")
        self.addCleanup(self.directory.cleanup)
        path = Path(self.directory.name)
        path.chmod(0o711)
        os.environ.update(
            places.environment_for(places.here_python()),
            HOME=str(path), IPYTHONDIR=str(path / "ipython"),
            IPMPI_BIN=str(places.BUILD),
            PATH=f"{places.BUILD}:/usr/sbin:/usr/bin:/sbin:/bin")
        sys.path.insert(0, str(package.install(path / "site")))
        agents = [Agent(hostname=f"127.0.0.{i + 1}",
                        ports=[(31000 + 100 * i, 31099 + 100 * i)])
                  for i in range(2)]
        self.server = Standin(
            agents, NamespacePlacer([str(places.BUILD / "ipmpi"), "agent"],
                                    path), heartbeat=1)
        self.addCleanup(self.server.close)

    def test_a_cluster_by_name(self) -> None:
        config = Config()
        config.IpmpiMarathonControllerLauncher.marathon = self.server.urls
        config.IpmpiMarathonControllerLauncher.nodes = 2
        cluster = ipp.Cluster(
            n=4, cluster_id="Seen_1", config=config, **NAMES,
            controller_args=[f"--python={places.here_python()}"])
        with cluster as rc:
            self.assertEqual(len(rc.ids), 4)
            hosts = rc[:].apply_sync(lambda: __import__("socket")
                                     .gethostname())
            self.assertEqual(len(set(hosts)), 2)
            app, = self.server.model.apps
            self.assertIn("ipp-seen-1", app)
            key = rc._config["key"] if isinstance(rc._config, dict) else ""
            self.assertNotIn(key or "no key", str(self.server.requests))
            again = ipp.Cluster.from_dict(cluster.to_dict())
            self.assertEqual(again.controller.pid, cluster.controller.pid)
        self.assertEqual(self.server.model.apps, {})
        self.assertFalse(list(Path(self.directory.name)
                              .rglob("ipcontroller*.json")))


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("needs root")
        sys.exit(77)
    clean_up_when_told()
    unittest.main(verbosity=2)
