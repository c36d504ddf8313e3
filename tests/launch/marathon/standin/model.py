"""Applications, offers, tasks and deployments of the stand-in.

Threads: every public method takes the model's lock; the thread "scheduler"
makes offers; placers call back from threads of their own.
"""
from __future__ import annotations

import queue
import random
import re
import threading
import time
import uuid

from .things import (
    ACTIVE,
    REASONS,
    Agent,
    App,
    Deployment,
    Locked,
    Task,
    stamp,
)

UNREAD_MAX = 1024  # events a slow reader may be behind


class Model:
    def __init__(self, agents: list[Agent], placer, prefix: str = "") -> None:
        self.lock = threading.RLock()
        self.agents = agents
        self.placer = placer
        self.prefix = prefix
        self.apps: dict[str, App] = {}
        self.deployments: dict[str, Deployment] = {}
        self.readers: list[queue.Queue] = []
        self.offering = True
        self.double_events = False
        self.stop = threading.Event()
        self.random = random.Random()
        self.thread = threading.Thread(target=self.run, name="scheduler",
                                       daemon=True)
        self.thread.start()

    # -- events ----------------------------------------------------------

    def emit(self, event: str, **fields) -> None:
        body = {"eventType": event, "timestamp": stamp(), **fields}
        for reader in list(self.readers):
            for _ in range(2 if self.double_events else 1):
                if reader.qsize() >= UNREAD_MAX:
                    self.detach(reader)
                    reader.put(None)
                    break
                reader.put((event, body))

    def attach(self, remote: str) -> queue.Queue:
        reader: queue.Queue = queue.Queue()
        reader.put(("event_stream_attached", {
            "eventType": "event_stream_attached", "timestamp": stamp(),
            "remoteAddress": remote}))
        with self.lock:
            self.readers.append(reader)
        return reader

    def detach(self, reader: queue.Queue) -> None:
        with self.lock:
            if reader in self.readers:
                self.readers.remove(reader)

    def disconnect_readers(self) -> None:
        with self.lock:
            for reader in self.readers:
                reader.put(None)
            self.readers.clear()

    def emit_status(self, task: Task, message: str = "") -> None:
        self.emit("status_update_event", slaveId=task.agent.id,
                  taskId=task.id, taskStatus=task.state, message=message,
                  appId=task.app.id, host=task.agent.hostname,
                  ipAddresses=[{"ipAddress": a, "protocol": "IPv4"}
                               for a in task.addresses],
                  ports=task.ports, version=task.version)

    # -- deployments -----------------------------------------------------

    def locks(self, app_id: str) -> list[str]:
        return [d.id for d in self.deployments.values() if app_id in d.apps]

    def deploy(self, action: str, app_ids: list[str],
               force: bool) -> Deployment:
        held = sorted({d for a in app_ids for d in self.locks(a)})
        if held and not force:
            raise Locked(held)
        for ident in held:
            old = self.deployments.pop(ident)
            self.emit("deployment_failed", id=ident, plan=old.plan(),
                      reason="cancelled by a forced deployment")
        new = Deployment(action, app_ids)
        self.deployments[new.id] = new
        self.emit("deployment_info", plan=new.plan(), currentStep={
            "actions": new.plan()["steps"][0]["actions"]})
        return new

    def is_done(self, deployment: Deployment) -> bool:
        for ident in deployment.apps:
            app = self.apps.get(ident)
            if deployment.action == "StopApplication":
                if app is not None and app.tasks:
                    return False
            elif app is not None and (
                    len(app.running()) != app.spec["instances"]
                    or len(app.tasks) != app.spec["instances"]
                    or not all(t.healthy and t.version == app.version
                               or deployment.action == "ScaleApplication"
                               for t in app.running())):
                return False
        return True

    def finish_deployments(self) -> None:
        for deployment in list(self.deployments.values()):
            if not self.is_done(deployment):
                continue
            del self.deployments[deployment.id]
            if deployment.action == "StopApplication":
                for ident in deployment.apps:
                    if self.apps.pop(ident, None):
                        self.emit("app_terminated_event", appId=ident)
            self.emit("deployment_step_success", plan=deployment.plan(),
                      currentStep={})
            self.emit("deployment_success", id=deployment.id,
                      plan=deployment.plan())

    # -- applications ----------------------------------------------------

    def create(self, spec: dict, force: bool) -> tuple[App, Deployment]:
        with self.lock:
            deployment = self.deploy("StartApplication", [spec["id"]], force)
            app = self.apps[spec["id"]] = App(spec)
            return app, deployment

    def change(self, app: App, spec: dict, force: bool) -> Deployment:
        """A new version; only `instances` may change without a restart."""
        with self.lock:
            same = {**spec, "instances": 0} == {**app.spec, "instances": 0}
            deployment = self.deploy("ScaleApplication" if same
                                     else "RestartApplication", [app.id],
                                     force)
            app.spec = spec
            app.version = deployment.version
            app.versions[app.version] = spec
            app.delay = app.not_before = 0
            if not same:
                for task in app.active():
                    self.kill(task)
            return deployment

    def delete(self, ids: list[str], force: bool) -> Deployment:
        with self.lock:
            deployment = self.deploy("StopApplication", ids, force)
            for ident in ids:
                app = self.apps[ident]
                app.deleted = True
                app.spec = {**app.spec, "instances": 0}
                for task in list(app.tasks.values()):
                    self.kill(task)
            return deployment

    def kill_tasks(self, tasks: list[Task], scale: bool,
                   force: bool) -> Deployment | None:
        with self.lock:
            deployment = None
            if scale and tasks:
                apps = sorted({t.app.id for t in tasks})
                deployment = self.deploy("ScaleApplication", apps, force)
                for task in tasks:
                    app = task.app
                    app.spec = {**app.spec, "instances":
                                max(0, app.spec["instances"] - 1)}
            for task in tasks:
                self.kill(task)
            return deployment

    # -- tasks -----------------------------------------------------------

    def kill(self, task: Task) -> None:
        if task.state == "TASK_KILLING":
            return
        task.state = "TASK_KILLING"
        self.emit_status(task)
        self.placer.kill(self, task,
                         task.app.spec.get("taskKillGracePeriodSeconds", 3))

    def on_state(self, task: Task, state: str, message: str = "",
                 addresses: list[str] | None = None) -> None:
        """The placer's news of a task."""
        with self.lock:
            if task.id not in task.app.tasks:
                return
            if task.state == "TASK_KILLING" and state in ACTIVE:
                return
            if task.state == "TASK_KILLING":
                state = "TASK_KILLED"
            task.state = state
            if addresses:
                task.addresses = addresses
            if state == "TASK_RUNNING":
                task.started = stamp()
                task.app.delay = 0
            self.emit_status(task, message)
            self.emit("instance_changed_event", instanceId=task.id,
                      condition=state.removeprefix("TASK_").title(),
                      runSpecId=task.app.id, agentId=task.agent.id,
                      host=task.agent.hostname, runSpecVersion=task.version)
            if state not in ACTIVE:
                self.bury(task, state, message)

    def bury(self, task: Task, state: str, message: str) -> None:
        app = task.app
        del app.tasks[task.id]
        if state == "TASK_KILLED":
            return
        app.last_failure = {
            "appId": app.id, "host": task.agent.hostname, "message": message,
            "state": state, "taskId": task.id, "timestamp": stamp(),
            "version": task.version, "slaveId": task.agent.id}
        spec = app.spec
        app.delay = min(max(app.delay * spec["backoffFactor"],
                            spec["backoffSeconds"]),
                        spec["maxLaunchDelaySeconds"])
        app.not_before = time.monotonic() + app.delay

    # -- offers ----------------------------------------------------------

    def run(self) -> None:
        while not self.stop.wait(0.05):
            with self.lock:
                for app in list(self.apps.values()):
                    self.schedule(app)
                self.finish_deployments()

    def schedule(self, app: App) -> None:
        active = app.active()
        for task in sorted(active, key=lambda t: t.staged, reverse=True)[
                :max(0, len(active) - app.spec["instances"])]:
            self.kill(task)
        missing = app.spec["instances"] - len(active)
        if missing <= 0 or not self.offering or \
                time.monotonic() < app.not_before:
            return
        app.rejects = {reason: [0, 0] for reason in REASONS}
        for agent in self.agents:
            if missing <= 0:
                break
            if agent.gone:
                continue
            app.offers += 1
            if self.take_offer(app, agent):
                missing -= 1
            else:
                app.unused += 1

    def used(self, agent: Agent) -> list[Task]:
        return [t for a in self.apps.values() for t in a.tasks.values()
                if t.agent is agent]

    def take_offer(self, app: App, agent: Agent) -> bool:
        there = self.used(agent)
        spec = app.spec
        ports = self.choose_ports(app, agent, there)
        tests = {
            "UnfulfilledConstraint": self.fits(app, agent),
            "InsufficientCpus": spec["cpus"] <= agent.cpus - sum(
                t.app.spec["cpus"] for t in there),
            "InsufficientMemory": spec["mem"] <= agent.mem - sum(
                t.app.spec["mem"] for t in there),
            "InsufficientPorts": ports is not None}
        for reason in REASONS:
            app.rejects[reason][1] += 1
            if not tests.get(reason, True):
                app.rejects[reason][0] += 1
                return False
        self.launch(app, agent, ports)
        return True

    def choose_ports(self, app: App, agent: Agent,
                     there: list[Task]) -> list[int] | None:
        """From a random place of the ranges on, in order, with holes."""
        wanted = app.spec.get("portDefinitions") or []
        taken = {p for t in there for p in t.ports}
        numbers = agent.numbers()
        start = self.random.randrange(len(numbers)) if numbers else 0
        free = [n for n in numbers[start:] + numbers[:start]
                if n not in taken]
        chosen = []
        for definition in wanted:
            if app.spec["requirePorts"] and definition.get("port"):
                if definition["port"] not in free:
                    return None
                chosen.append(definition["port"])
                continue
            if not free:
                return None
            chosen.append(free.pop(0))
        return chosen

    def fits(self, app: App, agent: Agent) -> bool:
        def value_of(other: Agent, name: str) -> str | None:
            return other.hostname if name in ("hostname", "@hostname") \
                else other.attributes.get(name.lstrip("@"))

        for row in app.spec["constraints"]:
            name, operator = row[0], row[1].upper()
            value = value_of(agent, name)
            same = sum(value_of(t.agent, name) == value for t in app.active())
            total = len(app.active())
            if value is None and operator != "UNLIKE":
                return False
            if operator == "UNIQUE" and same:
                return False
            if operator == "MAX_PER" and same >= int(row[2]):
                return False
            if operator == "CLUSTER" and (
                    (len(row) > 2 and value != row[2]) or same != total):
                return False
            if operator == "GROUP_BY":
                groups = {value_of(a, name) for a in self.agents}
                n = int(row[2]) if len(row) > 2 else len(groups)
                if same > total // max(n, 1):
                    return False
            if operator == "LIKE" and not re.fullmatch(row[2], value):
                return False
            if operator == "UNLIKE" and value and re.fullmatch(row[2], value):
                return False
            if operator == "IS" and value != row[2]:
                return False
        return True

    def launch(self, app: App, agent: Agent, ports: list[int]) -> None:
        ident = (app.id.strip("/").replace("/", "_")
                 + f".instance-{uuid.uuid4()}._app.1")
        task = Task(ident, app, agent, ports, app.version)
        app.tasks[ident] = task
        self.emit_status(task)
        self.placer.start(self, task, self.environment(task))

    def environment(self, task: Task) -> dict[str, str]:
        """What a task sees: see the notes on environment variables."""
        spec, prefix = task.app.spec, self.prefix
        env = {f"{prefix}HOST": task.agent.hostname,
               f"{prefix}PORTS": ",".join(map(str, task.ports)),
               "MESOS_TASK_ID": task.id, "MARATHON_APP_ID": task.app.id,
               "MARATHON_APP_VERSION": task.version,
               "MARATHON_APP_LABELS": " ".join(
                   k.upper() for k in spec["labels"])}
        for name in ("cpus", "mem", "disk", "gpus"):
            env[f"MARATHON_APP_RESOURCE_{name.upper()}"] = \
                str(float(spec[name]))
        for name, value in spec["labels"].items():
            env[f"MARATHON_APP_LABEL_{name.upper()}"] = value
        image = (spec.get("container") or {}).get("docker", {}).get("image")
        if image:
            env["MARATHON_APP_DOCKER_IMAGE"] = image
        for index, number in enumerate(task.ports):
            env[f"{prefix}PORT{index}"] = str(number)
            name = spec["portDefinitions"][index].get("name")
            if name:
                env[f"{prefix}PORT_{name.upper()}"] = str(number)
        if task.ports:
            env[f"{prefix}PORT"] = str(task.ports[0])
        env.update({k: v for k, v in spec["env"].items()
                    if isinstance(v, str)})
        return env

    # -- shown -----------------------------------------------------------

    def show_app(self, app: App, embed: tuple[str, ...]) -> dict:
        running = app.running()
        shown = {**app.spec, "version": app.version,
                 "versionInfo": {"lastScalingAt": app.version,
                                 "lastConfigChangeAt": app.version},
                 "tasksStaged": len(app.active()) - len(running),
                 "tasksRunning": len(running),
                 "tasksHealthy": len([t for t in running if t.healthy])
                 if app.spec["healthChecks"] else 0,
                 "tasksUnhealthy": 0}
        shown["deployments"] = [{"id": d} for d in self.locks(app.id)]
        if "tasks" in embed:
            shown["tasks"] = [t.show() for t in app.tasks.values()]
        if "lastTaskFailure" in embed and app.last_failure:
            shown["lastTaskFailure"] = app.last_failure
        return shown

    def show_queue(self) -> dict:
        rows = []
        for app in self.apps.values():
            missing = app.spec["instances"] - len(app.active())
            if missing <= 0:
                continue
            left = max(0, app.not_before - time.monotonic())
            rows.append({
                "app": self.show_app(app, ()), "count": missing, "role": "*",
                "delay": {"timeLeftSeconds": int(left), "overdue": left <= 0},
                "since": app.since,
                "processedOffersSummary": {
                    "processedOffersCount": app.offers,
                    "unusedOffersCount": app.unused,
                    "lastUnusedOfferAt": stamp(), "lastUsedOfferAt": None,
                    "rejectSummaryLastOffers": [
                        {"reason": r, "declined": d, "processed": p}
                        for r, (d, p) in app.rejects.items()],
                    "rejectSummaryLaunchAttempt": []}})
        return {"queue": rows}
