"""HTTP of the stand-in: a leader and a standby on two ports.

Faults are attributes and methods of `Standin`; each says what it does.
"""
from __future__ import annotations

import base64
import gzip
import http.client
import json
import queue
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from . import checks
from .model import Agent, App, Locked, Model, stamp

VERSION = "1.10.26"
HTML = "<html><head><title>Error</title></head><body><h2>{}</h2></body></html>"


class Answer(Exception):
    """An answer, raised from anywhere."""

    def __init__(self, status: int, body=None, **headers: str) -> None:
        self.status = status
        self.body = body
        self.headers = {k.replace("_", "-"): v for k, v in headers.items()}


def deployed(status: int, deployment, body=None) -> Answer:
    return Answer(status, body if body is not None else deployment.result(),
                  Marathon_Deployment_Id=deployment.id)


class Standin:
    """Marathon's API on 127.0.0.1; `url` is the leader's, `urls` both."""

    def __init__(self, agents: list[Agent], placer, *, prefix: str = "",
                 features: list[str] | None = None,
                 basic: str | None = None, token: str | None = None,
                 heartbeat: float = 10.0) -> None:
        self.model = Model(agents, placer, prefix)
        self.placer = placer
        self.features = features or []
        self.basic = basic
        self.token = token
        self.heartbeat = heartbeat
        self.busy = 0            # so many requests are answered 503
        self.drop_answers = 0    # so many POSTs are done, but not answered
        self.no_events = False   # the event stream is refused
        self.requests: list[tuple[str, str, str]] = []
        self.servers = [ThreadingHTTPServer(("127.0.0.1", 0),
                                            self.handler(i))
                        for i in range(2)]
        self.leader: int | None = 0
        for server in self.servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True,
                             kwargs={"poll_interval": 0.05}).start()

    def address(self, index: int) -> str:
        return f"127.0.0.1:{self.servers[index].server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.address(self.leader or 0)}"

    @property
    def urls(self) -> str:
        return ",".join(f"http://{self.address(i)}" for i in range(2))

    # -- faults ----------------------------------------------------------

    def change_leader(self, interregnum: float = 0.0) -> None:
        """The other one leads, after a time without any."""
        new = 1 - (self.leader or 0)
        self.leader = None
        self.model.disconnect_readers()
        time.sleep(interregnum)
        self.leader = new

    def close(self) -> None:
        with self.model.lock:
            for app in self.model.apps.values():
                app.spec = {**app.spec, "instances": 0}
        self.model.stop.set()
        self.model.thread.join()
        self.model.disconnect_readers()
        for server in self.servers:
            server.shutdown()
            server.server_close()
        self.placer.close()

    def __enter__(self) -> "Standin":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def handler(self, index: int) -> type:
        standin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_) -> None:
                pass

            def any(self) -> None:
                Exchange(standin, self, index).serve()

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = any
        return Handler


class Exchange:
    """One request and its answer."""

    def __init__(self, standin: Standin, handler, index: int) -> None:
        self.standin = standin
        self.model = standin.model
        self.handler = handler
        self.index = index
        parts = urlsplit(handler.path)
        self.path = re.sub("/+", "/", unquote(parts.path)).rstrip("/") or "/"
        self.query = parse_qs(parts.query, keep_blank_values=True)

    # -- in and out ------------------------------------------------------

    def read(self) -> bytes:
        headers = self.handler.headers
        if headers.get("Transfer-Encoding", "").lower() == "chunked":
            data = b""
            while True:
                size = int(self.handler.rfile.readline().split(b";")[0], 16)
                data += self.handler.rfile.read(size)
                self.handler.rfile.readline()
                if size == 0:
                    return data
        return self.handler.rfile.read(int(headers.get("Content-Length", 0)))

    def flag(self, name: str, default: bool = False) -> bool:
        if name not in self.query:
            return default
        return self.query[name][0].lower() in ("", "true")

    def serve(self) -> None:
        self.data = self.read()
        self.standin.requests.append(
            (self.handler.command, self.handler.path,
             self.data.decode(errors="replace")))
        try:
            self.guard()
            self.dispatch()
            raise Answer(500, {"message": "URI not found"})
        except Answer as answer:
            self.send(answer)
        except Locked as lock:
            self.send(Answer(409, {
                "message": "App is locked by one or more deployments. "
                "Override with the option '?force=true'. View details at "
                "'/v2/deployments/<DEPLOYMENT_ID>'.",
                "deployments": [{"id": d} for d in lock.deployments]}))
        except (BrokenPipeError, ConnectionResetError):
            pass

    def send(self, answer: Answer) -> None:
        handler = self.handler
        body = answer.body
        kind = "application/json"
        if isinstance(body, str):
            kind = "text/html" if body.startswith("<html") else "text/plain"
            data = body.encode()
        else:
            data = b"" if body is None else json.dumps(body).encode()
        if self.standin.drop_answers and handler.command == "POST":
            self.standin.drop_answers -= 1
            handler.connection.close()
            handler.close_connection = True
            return
        packed = "gzip" in handler.headers.get("Accept-Encoding", "") \
            and len(data) > 200
        if packed:
            data = gzip.compress(data)
        handler.send_response(answer.status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data)))
        handler.send_header("X-Frame-Options", "DENY")
        handler.send_header("Cache-Control", "no-cache, no-store")
        if packed:
            handler.send_header("Content-Encoding", "gzip")
        if self.standin.leader is not None:
            handler.send_header("X-Marathon-Leader", self.standin.url)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    # -- before the API --------------------------------------------------

    def guard(self) -> None:
        standin = self.standin
        if standin.busy > 0:
            standin.busy -= 1
            raise Answer(503, HTML.format(
                "Too many concurrent requests! Allowed: 1."))
        given = self.handler.headers.get("Authorization", "")
        if standin.basic and given != "Basic " + base64.b64encode(
                standin.basic.encode()).decode():
            raise Answer(401, HTML.format("HTTP ERROR 401 Unauthorized"),
                         WWW_Authenticate='Basic realm="Mesosphere"')
        if standin.token and given != f"token={standin.token}":
            raise Answer(401, {"message": "Invalid username or password."})
        if self.path == "/ping":
            raise Answer(200, "pong")
        if standin.leader is None:
            time.sleep(0.3)
            if standin.leader is None:
                raise Answer(502, HTML.format(
                    "Could not determine the current leader"))
        if self.index != standin.leader:
            self.proxy()

    def proxy(self) -> None:
        """A standby passes on; a chunked body is dropped on the way."""
        standin = self.standin
        leader = standin.address(standin.leader)
        if self.path == "/v2/events":
            raise Answer(302, None, Location=f"http://{leader}/v2/events")
        chunked = "Transfer-Encoding" in self.handler.headers
        headers = {k: v for k, v in self.handler.headers.items()
                   if k.lower() not in ("host", "transfer-encoding",
                                        "content-length", "accept-encoding",
                                        "connection")}
        try:
            connection = http.client.HTTPConnection(leader, timeout=30)
            connection.request(self.handler.command, self.handler.path,
                               b"" if chunked else self.data, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        except OSError:
            raise Answer(502, HTML.format(
                "Connection to leader refused.")) from None
        try:
            body = json.loads(text) if text else None
        except ValueError:
            body = text
        kept = {k.replace("-", "_"): v for k, v in answer.getheaders()
                if k in ("Location", "Marathon-Deployment-Id",
                         "WWW-Authenticate")}
        raise Answer(answer.status, body, X_Marathon_Via=(
            f"1.1 {standin.address(self.index)}"), **kept)

    # -- routes ----------------------------------------------------------

    ROUTES = [
        ("GET", r"/v2/info", "info"),
        ("GET", r"/v2/leader", "leader"),
        ("DELETE", r"/v2/leader", "abdicate"),
        ("GET", r"/v2/events", "events"),
        ("GET", r"/v2/apps", "list_apps"),
        ("POST", r"/v2/apps", "create_app"),
        ("GET", r"/v2/tasks", "list_tasks"),
        ("POST", r"/v2/tasks/delete", "delete_tasks"),
        ("GET", r"/v2/queue", "show_queue"),
        ("DELETE", r"/v2/queue(/.+)/delay", "reset_delay"),
        ("GET", r"/v2/deployments", "list_deployments"),
        ("DELETE", r"/v2/deployments/([^/]+)", "cancel_deployment"),
        ("GET", r"/v2/groups(/.*)?", "show_group"),
        ("POST", r"/v2/groups(/.*)?", "create_group"),
        ("PUT", r"/v2/groups(/.*)?", "change_group"),
        ("DELETE", r"/v2/groups(/.+)", "delete_group"),
        ("POST", r"/v2/apps(/.+)/restart", "restart_app"),
        ("GET", r"/v2/apps(/.+)/tasks", "list_app_tasks"),
        ("DELETE", r"/v2/apps(/.+)/tasks", "kill_app_tasks"),
        ("DELETE", r"/v2/apps(/.+)/tasks/([^/]+)", "kill_app_task"),
        ("GET", r"/v2/apps(/.+)/versions", "list_versions"),
        ("GET", r"/v2/apps(/.+)/versions/([^/]+)", "show_version"),
        ("GET", r"/v2/apps(/.*)/\*", "list_group_apps"),
        ("GET", r"/v2/apps(/.+)", "show_app"),
        ("PUT", r"/v2/apps(/.+)", "put_app"),
        ("PATCH", r"/v2/apps(/.+)", "patch_app"),
        ("DELETE", r"/v2/apps(/.+)", "delete_app"),
    ]

    def dispatch(self) -> None:
        known = False
        for method, pattern, name in self.ROUTES:
            found = re.fullmatch(pattern, self.path)
            if found is None:
                continue
            known = True
            if method == self.handler.command:
                getattr(self, name)(*found.groups())
        if known:
            raise Answer(405, {"message": "HTTP 405 Method Not Allowed"})

    def json(self):
        try:
            body = json.loads(self.data)
        except ValueError as error:
            raise Answer(400, {"message": "Invalid JSON",
                               "details": str(error)}) from None
        return body

    def app(self, ident: str) -> App:
        app = self.model.apps.get(ident)
        if app is None:
            raise Answer(404, {"message": f"App '{ident}' does not exist"})
        return app

    def checked(self, spec) -> dict:
        if not isinstance(spec, dict):
            raise Answer(422, {"message": "Invalid JSON", "details": [
                {"path": "/", "errors": ["error.expected.jsobject"]}]})
        problems = checks.check_types(spec)
        if problems:
            raise Answer(422, {"message": "Invalid JSON",
                               "details": problems})
        spec = checks.normalise(spec)
        problems = checks.check(spec, self.standin.features)
        if problems:
            raise Answer(422, {"message": "Object is not valid",
                               "details": problems})
        return spec

    def info(self) -> None:
        raise Answer(200, {
            "name": "marathon", "version": VERSION, "elected":
            self.index == self.standin.leader, "buildref": "unknown",
            "leader": self.standin.address(self.standin.leader),
            "frameworkId": "f00-0000", "zookeeper_config": {
                "zk": "zk://***:***@127.0.0.1/marathon"},
            "http_config": {"http_port": 8080, "https_port": 8443},
            "marathon_config": {
                "features": self.standin.features, "hostname": "127.0.0.1",
                "env_vars_prefix": self.model.prefix or None,
                "local_port_min": 10000, "local_port_max": 20000,
                "mesos_role": None, "default_network_name": None}})

    def leader(self) -> None:
        raise Answer(200, {"leader": self.standin.address(
            self.standin.leader)})

    def abdicate(self) -> None:
        threading.Thread(target=self.standin.change_leader,
                         daemon=True).start()
        raise Answer(200, {"message": "Leadership abdicated"})

    # -- applications ----------------------------------------------------

    EMBEDS = ("tasks", "counts", "deployments", "lastTaskFailure",
              "taskStats", "readiness", "failures")

    def embeds(self) -> tuple[str, ...]:
        asked = self.query.get("embed", [])
        return tuple(e.split(".")[-1] for e in asked)

    def matches(self, app: App) -> bool:
        ident = self.query.get("id", [""])[0].lower()
        command = self.query.get("cmd", [""])[0].lower()
        label = self.query.get("label", [""])[0]
        if ident not in app.id.lower() or \
                command not in str(app.spec.get("cmd") or "").lower():
            return False
        labels = app.spec["labels"]
        for term in filter(None, re.split(r",(?![^(]*\))", label)):
            found = re.fullmatch(r"\s*(\S+?)\s*(==|!=| in )\s*(.+?)\s*", term)
            if found is None:
                if term.strip() not in labels:
                    return False
                continue
            key, operator, value = found.groups()
            values = [v.strip() for v in value.strip("()").split(",")]
            if (labels.get(key) in values) == (operator == "!="):
                return False
        return True

    def list_apps(self) -> None:
        with self.model.lock:
            raise Answer(200, {"apps": [
                self.model.show_app(app, self.embeds())
                for app in self.model.apps.values() if self.matches(app)]})

    def list_group_apps(self, group: str) -> None:
        with self.model.lock:
            found = [self.model.show_app(a, self.embeds())
                     for a in self.model.apps.values()
                     if a.id.startswith(group.rstrip("/") + "/")]
        if not found:
            raise Answer(404, {"message": f"Group '{group}' does not exist"})
        raise Answer(200, {"*": found})

    def create_app(self) -> None:
        spec = self.checked(self.json())
        with self.model.lock:
            if spec["id"] in self.model.apps:
                raise Answer(409, {"message": "An app with id "
                                   f"[{spec['id']}] already exists."})
            app, deployment = self.model.create(spec, self.flag("force"))
            shown = self.model.show_app(app, ("tasks",))
        raise Answer(201, shown, Location=app.id,
                     Marathon_Deployment_Id=deployment.id)

    def show_app(self, ident: str) -> None:
        with self.model.lock:
            app = self.app(ident)
            raise Answer(200, {"app": self.model.show_app(app, self.EMBEDS)})

    def put_app(self, ident: str) -> None:
        body = self.json()
        if isinstance(body, list):
            raise Answer(500, {"message": "URI not found"})
        partial = self.flag("partialUpdate", True)
        with self.model.lock:
            app = self.model.apps.get(ident)
            if isinstance(body, dict):
                old = app.spec if app and partial else {}
                body = {**old, **body, "id": ident}
                body.pop("version", None)
            spec = self.checked(body)
            if app is None:
                app, deployment = self.model.create(spec, self.flag("force"))
                raise Answer(201, deployment.result(), Location=app.id,
                             Marathon_Deployment_Id=deployment.id)
            raise deployed(200, self.model.change(app, spec,
                                                  self.flag("force")))

    def patch_app(self, ident: str) -> None:
        with self.model.lock:
            self.app(ident)
        self.put_app(ident)

    def delete_app(self, ident: str) -> None:
        with self.model.lock:
            self.app(ident)
            # Only here `force` is true unless it is said to be false.
            raise deployed(200, self.model.delete([ident],
                                                  self.flag("force", True)))

    def restart_app(self, ident: str) -> None:
        with self.model.lock:
            app = self.app(ident)
            deployment = self.model.deploy("RestartApplication", [ident],
                                           self.flag("force"))
            app.version = deployment.version
            app.versions[app.version] = app.spec
            for task in app.active():
                self.model.kill(task)
            raise deployed(200, deployment)

    def list_versions(self, ident: str) -> None:
        with self.model.lock:
            raise Answer(200, {"versions": sorted(
                self.app(ident).versions, reverse=True)})

    def show_version(self, ident: str, version: str) -> None:
        with self.model.lock:
            app = self.app(ident)
            if version not in app.versions:
                raise Answer(404, {"message": f"App '{ident}' version "
                                   f"'{version}' does not exist"})
            raise Answer(200, {**app.versions[version], "version": version})

    # -- tasks -----------------------------------------------------------

    def tasks(self) -> list:
        return [t for a in self.model.apps.values()
                for t in a.tasks.values()]

    def list_tasks(self) -> None:
        wanted = self.query.get("status", []) + self.query.get("status[]", [])
        with self.model.lock:
            raise Answer(200, {"tasks": [
                t.show() for t in self.tasks()
                if not wanted or ("running" in wanted) ==
                (t.state == "TASK_RUNNING")]})

    def list_app_tasks(self, ident: str) -> None:
        with self.model.lock:
            if ident.endswith("/*"):
                group = ident[:-1]
                raise Answer(200, {"tasks": [
                    t.show() for t in self.tasks()
                    if t.app.id.startswith(group)]})
            raise Answer(200, {"tasks": [
                t.show() for t in self.app(ident).tasks.values()]})

    def kill_some(self, tasks: list, one: bool) -> None:
        scale = self.flag("scale")
        if scale and self.flag("wipe"):
            raise Answer(400, {"message": "You cannot use scale and wipe at "
                               "the same time."})
        shown = [t.show() for t in tasks]
        deployment = self.model.kill_tasks(tasks, scale, self.flag("force"))
        if deployment is not None:
            raise deployed(200, deployment)
        raise Answer(200, {"task": shown[0]} if one else {"tasks": shown})

    def kill_app_tasks(self, ident: str) -> None:
        with self.model.lock:
            host = self.query.get("host", [None])[0]
            self.kill_some([t for t in self.app(ident).tasks.values()
                            if host in (None, "*", t.agent.hostname)], False)

    def kill_app_task(self, ident: str, task: str) -> None:
        with self.model.lock:
            app = self.app(ident)
            if task not in app.tasks:
                raise Answer(404, {"message": f"Task '{task}' does not "
                                   "exist"})
            self.kill_some([app.tasks[task]], True)

    def delete_tasks(self) -> None:
        ids = self.json().get("ids", [])
        with self.model.lock:
            by_id = {t.id: t for t in self.tasks()}
            for ident in ids:
                if ".instance-" not in ident and "." not in ident:
                    raise Answer(400, {"message": f"Invalid task id "
                                       f"'{ident}'."})
            self.kill_some([by_id[i] for i in ids if i in by_id], False)

    # -- queue, deployments, groups --------------------------------------

    def show_queue(self) -> None:
        with self.model.lock:
            raise Answer(200, self.model.show_queue())

    def reset_delay(self, ident: str) -> None:
        with self.model.lock:
            app = self.model.apps.get(ident)
            if app is None:
                raise Answer(404, {"message": f"Application {ident} not found "
                                   "in tasks queue."})
            app.delay = app.not_before = 0
            raise Answer(204)

    def list_deployments(self) -> None:
        with self.model.lock:
            raise Answer(200, [d.show()
                               for d in self.model.deployments.values()])

    def cancel_deployment(self, ident: str) -> None:
        with self.model.lock:
            old = self.model.deployments.get(ident)
            if old is None:
                raise Answer(404, {"message": f"DeploymentPlan {ident} does "
                                   "not exist"})
            if self.flag("force"):
                del self.model.deployments[ident]
                self.model.emit("deployment_failed", id=ident,
                                plan=old.plan(), reason="cancelled")
                raise Answer(202)
            fresh = [a for a in old.apps if a in self.model.apps
                     and len(self.model.apps[a].versions) == 1]
            if fresh and old.action == "StartApplication":
                raise deployed(200, self.model.delete(fresh, True))
            app = self.model.apps[old.apps[0]]
            before = sorted(app.versions)[-2:][0]
            raise deployed(200, self.model.change(
                app, app.versions[before], True))

    def group(self, ident: str | None) -> dict:
        ident = "/" + (ident or "").strip("/")
        prefix = ident.rstrip("/") + "/"
        below = [a for a in self.model.apps.values()
                 if a.id.startswith(prefix)]
        names = sorted({a.id[len(prefix):].split("/")[0] for a in below
                        if "/" in a.id[len(prefix):]})
        return {"id": ident, "version": stamp(), "dependencies": [],
                "pods": [], "apps": [
                    self.model.show_app(a, ()) for a in below
                    if "/" not in a.id[len(prefix):]],
                "groups": [self.group(prefix + n) for n in names]}

    def show_group(self, ident: str | None) -> None:
        with self.model.lock:
            shown = self.group(ident)
            if shown["id"] != "/" and not (shown["apps"] or shown["groups"]):
                raise Answer(404, {"message": f"Group '{shown['id']}' does "
                                   "not exist"})
            raise Answer(200, shown)

    def specs_of(self, body: dict, base: str) -> list[dict]:
        ident = "/" + "/".join(filter(None, [
            base.strip("/"), body.get("id", "").strip("/")]))
        if body.get("id", "").startswith("/"):
            ident = "/" + body["id"].strip("/")
        specs = []
        for row in body.get("apps", []):
            name = row.get("id", "")
            full = name if name.startswith("/") else f"{ident}/{name}"
            specs.append(self.checked({**row, "id": full}))
        for group in body.get("groups", []):
            specs += self.specs_of(group, ident)
        return specs

    def create_group(self, base: str | None) -> None:
        body = self.json()
        specs = self.specs_of(body, base or "")
        with self.model.lock:
            if any(s["id"] in self.model.apps for s in specs):
                raise Answer(409, {"message": f"Group {body.get('id')} is "
                                   "already created. Use PUT to change this "
                                   "group."})
            self.put_specs(specs, 201)

    def change_group(self, base: str | None) -> None:
        body = self.json()
        specs = self.specs_of({k: v for k, v in body.items()
                               if k != "id" or not base}, base or "")
        if self.flag("dryRun"):
            raise Answer(200, {"steps": [{"actions": [
                {"action": "StartApplication", "app": s["id"]}
                for s in specs]}]})
        with self.model.lock:
            self.put_specs(specs, 200)

    def put_specs(self, specs: list[dict], status: int) -> None:
        deployment = self.model.deploy("StartApplication",
                                       [s["id"] for s in specs],
                                       self.flag("force"))
        for spec in specs:
            if spec["id"] in self.model.apps:
                self.model.apps[spec["id"]].spec = spec
            else:
                self.model.apps[spec["id"]] = App(spec)
        raise deployed(status, deployment)

    def delete_group(self, ident: str) -> None:
        with self.model.lock:
            ids = [a for a in self.model.apps
                   if a.startswith(ident.rstrip("/") + "/")]
            if not ids:
                raise Answer(404, {"message": f"Group '{ident}' does not "
                                   "exist"})
            raise deployed(200, self.model.delete(ids, self.flag("force")))

    # -- events ----------------------------------------------------------

    def chunk(self, data: bytes) -> None:
        self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def events(self) -> None:
        handler = self.handler
        if "text/event-stream" not in handler.headers.get("Accept", "") \
                or self.standin.no_events:
            raise Answer(405, HTML.format("HTTP ERROR 405"))
        wanted = self.query.get("event_type", [])
        reader = self.model.attach(handler.client_address[0])
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        try:
            while True:
                try:
                    item = reader.get(timeout=self.standin.heartbeat)
                except queue.Empty:
                    self.chunk(b"\r\n")
                    continue
                if item is None:
                    handler.wfile.write(b"0\r\n\r\n")
                    break
                if wanted and item[0] not in wanted:
                    continue
                self.chunk(
                    f"event: {item[0]}\r\ndata: {json.dumps(item[1])}"
                    "\r\n\r\n".encode())
        except OSError:
            pass
        finally:
            self.model.detach(reader)
        raise BrokenPipeError
