"""What JupyterLab's panel of clusters does: the REST interface of ipyparallel's
server extension, with our launchers chosen in the server's configuration. Not
with 7.1, whose extension is for the notebook of its time."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import ipyparallel as ipp
import pytest
from harness import package, places, processes


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A jupyter_server of our own."""

    def __init__(self, directory, env: dict[str, str]) -> None:
        self.port = free_port()
        self.log = directory / "server.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyter_server", "--allow-root",
                 f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0",
                 "--ServerApp.open_browser=False",
                 "--IdentityProvider.token=t", f"--ServerApp.root_dir={directory}",
                 '--ServerApp.jpserver_extensions={"ipyparallel": True}',
                 "--Cluster.controller_launcher_class=ipmpi",
                 "--Cluster.engine_launcher_class=ipmpi"],
                env=env, stdout=output, stderr=subprocess.STDOUT)

    def ask(self, method: str, path: str = "", body=None):
        """The answer's JSON, None for an empty one."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/ipyparallel/clusters{path}",
            method=method, data=json.dumps(body or {}).encode()
            if method == "POST" else None,
            headers={"Authorization": "token t"})
        with urllib.request.urlopen(request, timeout=90) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def wait(self) -> None:
        end = time.monotonic() + 60
        while True:
            try:
                self.ask("GET")
                return
            except (urllib.error.URLError, ConnectionError):
                assert time.monotonic() < end, self.log.read_text()
                assert self.process.poll() is None, self.log.read_text()
                time.sleep(0.1)


@pytest.fixture
def server(tmp_path):
    env = {**os.environ, **places.environment_for(places.here_python()),
           "PYTHONPATH": str(package.install(tmp_path / "site")),
           "IPMPI_BIN": str(places.BUILD), "HOME": str(tmp_path),
           "IPYTHONDIR": str(tmp_path / "ipython"),
           processes.MARK: tmp_path.as_posix()}
    server = Server(tmp_path, env)
    try:
        server.wait()
        yield server
    finally:
        processes.kill_all(tmp_path.as_posix())
        server.process.wait(10)


def test_the_panel(server, tmp_path):
    """New cluster, start, use, list, stop: as the panel's buttons do."""
    made = server.ask("POST", body={"cluster_id": "panel", "n": 2})
    assert not made.get("controller")
    key = urllib.request.quote(made["id"])
    running = server.ask("POST", f"/{key}", {"n": 2})
    assert running["controller"]
    assert running["engines"]["n"] == 2
    with ipp.Client(profile_dir=running["cluster"]["profile_dir"],
                    cluster_id="panel") as rc:
        rc.wait_for_engines(2, timeout=60)
        assert len(set(rc[:].apply_sync(os.getpid))) == 2
        listed = {one["id"]: one for one in server.ask("GET")}
        assert listed[made["id"]]["engines"]["n"] == 2
        assert "ipmpi-engines-panel" in json.dumps(listed[made["id"]])
    assert server.ask("DELETE", f"/{key}") is None
    assert made["id"] not in {one["id"] for one in server.ask("GET")}
    assert not list(tmp_path.rglob("ipcontroller-panel-*.json"))
    assert not list(tmp_path.rglob("cluster-panel.json"))
