"""A real Slurm on one machine for a test: munged, slurmctld and two slurmds
that share nothing but the network. Needs root and Debian's packages."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from harness.processes import die_with_parent

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo",
            "unshare", "runuser")
START_SECONDS = 60


def missing() -> list[str]:
    """What this machine lacks for it; empty if nothing."""
    lacks = [name for name in PROGRAMS if shutil.which(name) is None]
    if os.geteuid() != 0:
        lacks.append("root")
    return lacks


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Slurm:
    """Two nodes, n1 and n2, of four tasks each; a context manager.

    root: an empty directory for configuration, state and logs
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.conf = root / "slurm.conf"
        self.processes: list[subprocess.Popen] = []
        self.env = {**os.environ, "SLURM_CONF": str(self.conf)}

    def _configure(self) -> None:
        host = socket.gethostname().partition(".")[0]
        ports = [_free_port() for _ in range(4)]
        for name in ("state", "spool-n1", "spool-n2"):
            (self.root / name).mkdir()
        (self.root / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        self.conf.write_text(f"""
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
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
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
""")

    def _start(self, name: str, *command: str) -> None:
        with open(self.root / f"{name}.out", "ab") as out:
            self.processes.append(subprocess.Popen(
                command, env=self.env, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True,
                preexec_fn=die_with_parent))

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
        for node in ("n1", "n2"):
            # one machine, two nodes: each with its own /tmp and /dev/shm,
            # else their ranks would meet in memory that they do not share.
            # What must be seen from outside is bound in by name.
            script = (f"mount --bind {self.root} {self.root} && "
                      f"mkdir -p /run/ipmpi-slurm && "
                      f"mount -t tmpfs tmpfs /run/ipmpi-slurm && "
                      f"mkdir /run/ipmpi-slurm/root && "
                      f"mount --bind {self.root} /run/ipmpi-slurm/root && "
                      f"mount -t tmpfs -o mode=1777 tmpfs /tmp && "
                      f"mkdir -p {self.root} && "
                      f"mount --bind /run/ipmpi-slurm/root {self.root} && "
                      f"mount -t tmpfs -o mode=1777 tmpfs /dev/shm && "
                      f"exec slurmd -D -N {node}")
            self._start(f"slurmd-{node}", "unshare", "-m", "-u", "sh", "-c",
                        script)
        self._until(lambda: self._idle() == 2, "idle nodes")
        return self

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
