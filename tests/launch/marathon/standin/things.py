"""What the stand-in's model is made of: machines, applications, their tasks,
and deployments. They hold; the model decides."""
from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

REASONS = ("UnfulfilledRole", "UnfulfilledConstraint",
           "NoCorrespondingReservationFound", "AgentMaintenance",
           "InsufficientCpus", "InsufficientMemory", "InsufficientDisk",
           "InsufficientGpus", "InsufficientPorts", "DeclinedScarceResources")
ACTIVE = ("TASK_STAGING", "TASK_STARTING", "TASK_RUNNING", "TASK_UNREACHABLE")


def stamp() -> str:
    """RFC 3339 with milliseconds and Z, as all of Marathon's times."""
    now = datetime.now(timezone.utc)
    return now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03}Z"


@dataclass
class Agent:
    """A machine of the pretended cluster."""
    hostname: str = "127.0.0.1"
    cpus: float = 8
    mem: float = 16384
    ports: list[tuple[int, int]] = field(
        default_factory=lambda: [(31000, 31999)])
    attributes: dict[str, str] = field(default_factory=dict)
    gone: bool = False
    id: str = field(default_factory=lambda: f"{uuid.uuid4()}-S0")

    def numbers(self) -> list[int]:
        return [n for low, high in self.ports for n in range(low, high + 1)]


@dataclass
class Task:
    id: str
    app: "App"
    agent: Agent
    ports: list[int]
    version: str
    state: str = "TASK_STAGING"
    staged: str = field(default_factory=stamp)
    started: str | None = None
    addresses: list[str] = field(default_factory=list)
    healthy: bool = True
    handle: Any = None

    def show(self) -> dict:
        shown = {"id": self.id, "appId": self.app.id,
                 "host": self.agent.hostname, "ports": self.ports,
                 "ipAddresses": [{"ipAddress": a, "protocol": "IPv4"}
                                 for a in self.addresses],
                 "servicePorts": [], "slaveId": self.agent.id,
                 "state": self.state, "stagedAt": self.staged,
                 "startedAt": self.started, "version": self.version,
                 "localVolumes": []}
        if self.app.spec["healthChecks"]:
            shown["healthCheckResults"] = [{
                "alive": self.healthy, "consecutiveFailures": 0,
                "firstSuccess": self.started, "lastSuccess": self.started,
                "lastFailure": None, "lastFailureCause": None,
                "instanceId": self.id}]
        return shown


class App:
    def __init__(self, spec: dict) -> None:
        self.spec = spec
        self.id = spec["id"]
        self.version = stamp()
        self.versions = {self.version: spec}
        self.tasks: dict[str, Task] = {}
        self.last_failure: dict | None = None
        self.delay = 0.0
        self.not_before = 0.0
        self.rejects: dict[str, list[int]] = {}
        self.offers = 0
        self.unused = 0
        self.since = stamp()
        self.deleted = False

    def running(self) -> list[Task]:
        return [t for t in self.tasks.values() if t.state == "TASK_RUNNING"]

    def active(self) -> list[Task]:
        return [t for t in self.tasks.values() if t.state in ACTIVE]


class Deployment:
    def __init__(self, action: str, app_ids: list[str]) -> None:
        self.id = str(uuid.uuid4())
        self.version = stamp()
        self.action = action
        self.apps = app_ids

    def plan(self) -> dict:
        group = {"id": "/", "apps": [], "groups": [], "pods": [],
                 "dependencies": [], "version": self.version}
        return {"id": self.id, "version": self.version,
                "original": group, "target": group,
                "steps": [{"actions": [{"action": self.action, "app": a}
                                       for a in self.apps]}]}

    def show(self) -> dict:
        return {"id": self.id, "version": self.version,
                "steps": self.plan()["steps"], "affectedApps": self.apps,
                "affectedPods": [],
                "currentActions": [{"action": self.action, "app": a,
                                    "readinessCheckResults": []}
                                   for a in self.apps],
                "currentStep": 1, "totalSteps": 1}

    def result(self) -> dict:
        return {"version": self.version, "deploymentId": self.id}


class Locked(Exception):
    def __init__(self, deployments: list[str]) -> None:
        self.deployments = deployments
