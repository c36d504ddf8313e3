"""A real Slurm for a test: munged, slurmctld and two slurmds, which share files
and a network but neither a host name nor /tmp nor /dev/shm. Runs in an
enclosure (harness/enclosure.py), so its names and ports are its own, and
nothing is left of it, however the test ends. Needs Debian's packages."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from harness import enclosure

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo",
            "unshare", "nsenter", "ip")
START_SECONDS = 60


LOGIN, NODES = "login", ("n1", "n2")


def missing() -> list[str]:
    """What this machine lacks for it; empty if nothing."""
    lacks = [name for name in PROGRAMS if shutil.which(name) is None]
    if os.geteuid() != 0:
        lacks.append("root")
    return lacks


class Slurm:
    """Two nodes of four tasks each; a context manager.

    root: an empty directory for configuration, state and logs
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.conf = root / "slurm.conf"
        self.processes: list[subprocess.Popen] = []
        self.env = {**os.environ, "SLURM_CONF": str(self.conf)}

    def _configure(self) -> None:
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self.root / name).mkdir()
        nodes = "\n".join(
            f"NodeName={node} Port={7001 + i} CPUs=4"
            for i, node in enumerate(NODES))
        (self.root / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        self.conf.write_text(f"""
ClusterName=test
SlurmctldHost={LOGIN}
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={self.root}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
KillWait=5
SlurmdTimeout=30
StateSaveLocation={self.root}/state
SlurmdSpoolDir={self.root}/spool-%n
SlurmctldPidFile={self.root}/slurmctld.pid
SlurmdPidFile={self.root}/slurmd-%n.pid
SlurmctldLogFile={self.root}/slurmctld.log
SlurmdLogFile={self.root}/slurmd-%n.log
{nodes}
PartitionName=all Nodes={",".join(NODES)} Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
""")

    def _start(self, name: str, *command: str,
               stdin: int = subprocess.DEVNULL) -> subprocess.Popen:
        with open(self.root / f"{name}.out", "ab") as out:
            process = subprocess.Popen(
                command, env=self.env, stdin=stdin, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True)
        self.processes.append(process)
        return process

    def _start_munge(self) -> None:
        """A munged of our own: its own socket, key and log."""
        key = self.root / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self.root.chmod(0o711)
        self._start("munged", "munged", "--foreground", "--force",
                    f"--socket={self.root}/munge.socket",
                    f"--key-file={key}", f"--pid-file={self.root}/munge.pid",
                    f"--log-file={self.root}/munge.log",
                    f"--seed-file={self.root}/munge.seed")

    def start(self) -> "Slurm":
        """Starts all daemons and waits until both nodes are idle."""
        self._configure()
        self._start_munge()
        self._until((self.root / "munge.socket").exists, "munged")
        self._start("slurmctld", "slurmctld", "-D", "-c")
        for number, node in enumerate(NODES):
            self._start_node(number, node)
        self._until(lambda: self._idle() == len(NODES), "idle nodes")
        return self

    def _start_node(self, number: int, name: str) -> None:
        setup = (f"hostname {name}; "
                 "mount -t tmpfs -o mode=1777 tmpfs /tmp; "
                 "mount -t tmpfs -o mode=1777 tmpfs /dev/shm; "
                 f"read connected; exec slurmd -D -N {name} </dev/null")
        node = self._start(f"slurmd-{name}", "unshare", "-m", "-u", "-n", "sh",
                           "-ec", setup, stdin=subprocess.PIPE)
        enclosure.connect(number, node)
        node.stdin.write(b"\n")
        node.stdin.close()

    def _idle(self) -> int:
        out = self.run("sinfo", "-h", "-N", "-o", "%N %T", check=False)
        return sum(line.endswith(" idle") for line in out.splitlines())

    def _until(self, condition, what: str) -> None:
        end = time.monotonic() + START_SECONDS
        while not condition():
            ended = [p.args[0] for p in self.processes
                     if p.poll() is not None]
            if ended or time.monotonic() > end:
                raise RuntimeError(f"no {what}; ended: {ended}\n"
                                   + self.logs())
            time.sleep(0.1)

    def run(self, *command, check: bool = True, **keywords) -> str:
        """What one of Slurm's programs prints."""
        done = subprocess.run([str(word) for word in command],
                              env={**self.env, **keywords.pop("env", {})},
                              capture_output=True, text=True, timeout=120,
                              stdin=subprocess.DEVNULL, **keywords)
        if check and done.returncode != 0:
            raise RuntimeError(f"{command}: {done.returncode}\n{done.stdout}"
                               f"{done.stderr}\n{self.logs()}")
        return done.stdout

    def logs(self) -> str:
        """The ends of all logs."""
        return "\n".join(
            f"== {path.name}\n" + path.read_text(errors="replace")[-2500:]
            for path in sorted(self.root.iterdir())
            if path.suffix in (".log", ".out"))

    def stop(self) -> None:
        """Ends what was started, the last first."""
        self.run("scancel", "--user=root", check=False)
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in reversed(self.processes):
                if process.poll() is None:
                    os.killpg(process.pid, number)
            end = time.monotonic() + 10
            while time.monotonic() < end and any(
                    p.poll() is None for p in self.processes):
                time.sleep(0.05)

    def __enter__(self) -> "Slurm":
        return self.start()

    def __exit__(self, *exc) -> None:
        self.stop()
