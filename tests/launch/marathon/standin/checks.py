"""What Marathon checks of an application, and how it fills it in.

`normalise` answers (app, problems); problems are the rows of a 422's
`details`: [{"path": .., "errors": [..]}].
"""
from __future__ import annotations

import re
from typing import Any

SEGMENT = re.compile(r"^(([a-z0-9]|[a-z0-9][a-z0-9\-]*[a-z0-9])\.)*"
                     r"([a-z0-9]|[a-z0-9][a-z0-9\-]*[a-z0-9])$|^(\.|\.\.)$")
RESERVED = ("restart", "tasks", "versions", ".", "..")
OPERATORS = {"UNIQUE": (0, 0), "CLUSTER": (0, 1), "GROUP_BY": (0, 1),
             "LIKE": (1, 1), "UNLIKE": (1, 1), "MAX_PER": (1, 1),
             "IS": (1, 1)}
TYPES: dict[str, tuple] = {
    "id": (str,), "cmd": (str,), "args": (list,), "instances": (int,),
    "cpus": (int, float), "mem": (int, float), "disk": (int, float),
    "gpus": (int,), "env": (dict,), "labels": (dict,), "container": (dict,),
    "constraints": (list,), "networks": (list,), "portDefinitions": (list,),
    "healthChecks": (list,), "upgradeStrategy": (dict,)}
NAMES = {str: "jsstring", list: "jsarray", dict: "jsobject",
         int: "jsnumber"}
DEFAULTS: dict[str, Any] = {
    "backoffFactor": 1.15, "backoffSeconds": 1, "constraints": [], "cpus": 1,
    "disk": 0, "env": {}, "executor": "", "fetch": [], "gpus": 0,
    "healthChecks": [], "instances": 1, "killSelection": "YOUNGEST_FIRST",
    "labels": {}, "maxLaunchDelaySeconds": 300, "mem": 128,
    "requirePorts": False, "dependencies": [], "readinessChecks": [],
    "upgradeStrategy": {"maximumOverCapacity": 1, "minimumHealthCapacity": 1},
    "unreachableStrategy": {"inactiveAfterSeconds": 0,
                            "expungeAfterSeconds": 0}}


class Problems:
    def __init__(self) -> None:
        self.rows: dict[str, list[str]] = {}

    def add(self, path: str, error: str) -> None:
        self.rows.setdefault(path, []).append(error)

    def list(self) -> list[dict]:
        return [{"path": path, "errors": errors}
                for path, errors in self.rows.items()]


def check_types(app: dict) -> list[dict]:
    """Wrong JSON types: also 422, but with the parser's own codes."""
    problems = Problems()
    for key, types in TYPES.items():
        value = app.get(key)
        if value is not None and (not isinstance(value, types)
                                  or isinstance(value, bool)):
            problems.add(f"/{key}", f"error.expected.{NAMES[types[0]]}")
    return problems.list()


def check_id(app_id: str, problems: Problems) -> None:
    parts = app_id.strip("/").split("/")
    if not app_id.strip("/"):
        problems.add("/id", "Path must contain at least one path element")
        return
    for part in parts:
        if not SEGMENT.match(part):
            problems.add("/id", "must fully match regular expression "
                         f"'{SEGMENT.pattern}'")
    if parts[-1] in RESERVED:
        problems.add("/id", "must not end with any of the following reserved "
                     f"keywords: {', '.join(RESERVED)}")


def check_constraints(app: dict, problems: Problems) -> None:
    for index, row in enumerate(app.get("constraints") or []):
        path = f"/constraints({index})"
        if not isinstance(row, list) or not 2 <= len(row) <= 3:
            problems.add(path, "Each constraint must have either 2 or 3 "
                         "elements")
            continue
        operator = str(row[1]).upper()
        if operator not in OPERATORS:
            problems.add(path, "Constraint operator must be one of the "
                         f"following {', '.join(OPERATORS)}")
            continue
        least, most = OPERATORS[operator]
        given = len(row) - 2
        if given > most:
            problems.add(path, f"{operator} does not accept a value")
        elif given < least:
            problems.add(path, f"{operator} requires a value")
        elif operator == "MAX_PER" and not str(row[2]).isdigit():
            problems.add(path, "MAX_PER requires an integer value")
        elif operator in ("LIKE", "UNLIKE"):
            try:
                re.compile(row[2])
            except re.error:
                problems.add(path, f"'{row[2]}' is not a valid regular "
                             "expression")


def check_networks(app: dict, problems: Problems) -> None:
    networks = app.get("networks") or []
    modes = [network.get("mode", "container") for network in networks]
    ports = app.get("portDefinitions")
    mappings = (app.get("container") or {}).get("portMappings")
    if len(modes) > 1 and ("host" in modes or "container/bridge" in modes):
        problems.add("/networks", "You may specify a single host network, a "
                     "single bridge network or 1-to-n container networks")
    for index, network in enumerate(networks):
        if modes[index] == "container" and not network.get("name"):
            problems.add(f"/networks({index})", "Network name must be "
                         "specified when container network is selected.")
        if modes[index] == "host" and network.get("name"):
            problems.add(f"/networks({index})", "Host networks may not have "
                         "names or labels")
    host = not modes or modes == ["host"]
    if ports and not host:
        problems.add("/portDefinitions", "portDefinitions are only allowed "
                     "with host-networking")
    if mappings and host:
        problems.add("/container/portMappings", "portMappings are not allowed "
                     "with host-networking")
    names = [port["name"] for port in ports or [] if port.get("name")]
    if len(names) != len(set(names)):
        problems.add("/portDefinitions", "Port names must be unique.")
    numbers = [port["port"] for port in ports or [] if port.get("port")]
    if len(numbers) != len(set(numbers)):
        problems.add("/portDefinitions", "Ports must be unique.")


def check_container(app: dict, features: list[str],
                    problems: Problems) -> None:
    container = app.get("container") or {}
    docker = container.get("docker") or {}
    is_docker = container.get("type") == "DOCKER"
    networks = app.get("networks") or []
    if is_docker and not docker.get("image"):
        problems.add("/container/docker/image", "must not be empty")
    if is_docker and docker.get("pullConfig"):
        problems.add("/container/docker/pullConfig", "pullConfig is not "
                     "supported with Docker containerizer")
    if docker.get("credential"):
        problems.add("/container/docker/credential", "must be empty")
    if is_docker and (app.get("gpus") or 0) > 0:
        problems.add("/", "GPU resources only work with the Mesos "
                     "containerizer")
    if is_docker and len([n for n in networks
                          if n.get("mode") == "container"]) > 1:
        problems.add("/networks", "may only have one container network")
    names = [m["name"] for m in container.get("portMappings") or []
             if m.get("name")]
    if len(names) != len(set(names)):
        problems.add("/container/portMappings", "Port names must be unique.")
    for index, volume in enumerate(container.get("volumes") or []):
        if "secret" in volume and "secrets" not in features:
            problems.add(f"/container/volumes({index})", "Feature secrets is "
                         "not enabled. Enable with --enable_features secrets)")


def check_times(app: dict, problems: Problems) -> None:
    """Roles, checks and what is done with tasks out of reach."""
    ports = app.get("portDefinitions") or []
    away = app.get("unreachableStrategy")
    if app.get("acceptedResourceRoles") == []:
        problems.add("/acceptedResourceRoles", "must not be empty")
    if isinstance(away, dict) and away.get("inactiveAfterSeconds", 0) > \
            away.get("expungeAfterSeconds", 0):
        problems.add("/unreachableStrategy", "inactiveAfterSeconds must be "
                     "less than or equal to expungeAfterSeconds")
    for index, row in enumerate(app.get("healthChecks") or []):
        if row.get("portIndex", -1) >= len(ports):
            problems.add(f"/healthChecks({index})/portIndex", "Health check "
                         "port indices must address an element of the ports "
                         "array or container port mappings.")
    for index, row in enumerate(app.get("readinessChecks") or []):
        name = row.get("portName", "http-api")
        if name not in [port.get("name") for port in ports]:
            problems.add(f"/readinessChecks({index})/portName", "No port "
                         f"definition reference for portName '{name}'")
    if len(app.get("readinessChecks") or []) > 1:
        problems.add("/readinessChecks", "must have at most one element")


def check(app: dict, features: list[str]) -> list[dict]:
    problems = Problems()
    container = app.get("container") or {}
    check_id(app.get("id", ""), problems)
    if app.get("cmd") and app.get("args"):
        problems.add("/", "AppDefinition must either contain one of 'cmd' or "
                     "'args', and/or a 'container'.")
    elif not (app.get("cmd") or app.get("args") or container):
        problems.add("/", "AppDefinition must either contain one of 'cmd' or "
                     "'args', and/or a 'container'.")
    if isinstance(app.get("cmd"), str) and len(app["cmd"]) == 1:
        problems.add("/cmd", "must have at least 2 characters")
    if (app.get("instances") or 0) < 0:
        problems.add("/instances", "error.min")
    for key in ("cpus", "mem", "disk"):
        if (app.get(key) or 0) < 0:
            problems.add(f"/{key}", "error.min")
    for name, value in (app.get("env") or {}).items():
        if isinstance(value, dict) and "secrets" not in features:
            problems.add(f"/env({name})", "Feature secrets is not enabled. "
                         "Enable with --enable_features secrets)")
    for key, value in (app.get("upgradeStrategy") or {}).items():
        if not 0 <= value <= 1:
            problems.add(f"/upgradeStrategy/{key}", "got something outside "
                         "of [0,1]")
    check_container(app, features, problems)
    check_times(app, problems)
    check_constraints(app, problems)
    check_networks(app, problems)
    return problems.list()


def normalise(app: dict) -> dict:
    """Deprecated fields become today's, absent ones their defaults."""
    app = dict(app)
    app["id"] = "/" + app.get("id", "").strip("/")
    container = dict(app.get("container") or {})
    docker = dict(container.get("docker") or {})
    old = docker.pop("network", None)
    mappings = docker.pop("portMappings", None)
    if mappings is not None:
        container.setdefault("portMappings", mappings)
    if old and not app.get("networks"):
        app["networks"] = [{"mode": {"HOST": "host",
                                     "BRIDGE": "container/bridge"}
                            .get(old, "container")}]
    if docker:
        docker.setdefault("forcePullImage", False)
        docker.setdefault("parameters", [])
        docker.setdefault("privileged", False)
        container["docker"] = docker
    if container:
        container.setdefault("type", "MESOS")
        container.setdefault("volumes", [])
        app["container"] = container
    uris = app.pop("uris", None)
    if uris and not app.get("fetch"):
        app["fetch"] = [{"uri": uri, "extract": True, "executable": False,
                         "cache": False} for uri in uris]
    if not app.get("networks"):
        app["networks"] = [{"mode": "host"}]
    ports = app.pop("ports", None)
    if app["networks"][0].get("mode") == "host":
        if ports is not None and app.get("portDefinitions") is None:
            app["portDefinitions"] = [{"port": port} for port in ports]
        if app.get("portDefinitions") is None:
            app["portDefinitions"] = [{"port": 0, "name": "default"}]
        app["portDefinitions"] = [
            {"labels": {}, "protocol": "tcp", **port}
            for port in app["portDefinitions"]]
    for key, value in DEFAULTS.items():
        if app.get(key) is None:
            app[key] = value
    return app
