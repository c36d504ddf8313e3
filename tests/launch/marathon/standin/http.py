"""HTTP of the stand-in: a leader and a standby on two ports.

Faults are attributes and methods of `Standin`; each says what it does.
"""
from __future__ import annotations

import re
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .about import About
from .answer import Answer
from .apps import Apps
from .groups import Groups
from .model import Agent, Model
from .tasks import Tasks


class Api(Apps, Tasks, Groups, About):
    """All routes."""

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


class Standin:
    """Marathon's API on 127.0.0.1; `url` is the leader's, `urls` both."""

    def __init__(self, agents: list[Agent], placer, *, prefix: str = "",
                 features: list[str] | None = None,
                 basic: str | None = None, token: str | None = None,
                 certificate: tuple[str, str] | None = None,
                 heartbeat: float = 10.0) -> None:
        self.model = Model(agents, placer, prefix)
        self.placer = placer
        self.features = features or []
        self.basic = basic
        self.token = token
        self.scheme = "https" if certificate else "http"
        self.heartbeat = heartbeat
        self.busy = 0            # so many requests are answered 503
        self.drop_answers = 0    # so many POSTs are done, but not answered
        self.no_events = False   # the event stream is refused
        self.refusal: dict | None = None  # body of a 403 to all that changes
        self.requests: list[tuple[str, str, str]] = []
        self.servers = [ThreadingHTTPServer(("127.0.0.1", 0),
                                            self.handler(i))
                        for i in range(2)]
        self.leader: int | None = 0
        for server in self.servers:
            if certificate:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*certificate)
                server.socket = context.wrap_socket(
                    server.socket, server_side=True,
                    do_handshake_on_connect=False)
                # who does not trust us hangs up in the middle
                server.handle_error = lambda *_: None
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True,
                             kwargs={"poll_interval": 0.05}).start()

    def address(self, index: int) -> str:
        return f"127.0.0.1:{self.servers[index].server_address[1]}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.address(self.leader or 0)}"

    @property
    def urls(self) -> str:
        return ",".join(f"{self.scheme}://{self.address(i)}"
                        for i in range(2))

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
                Api(standin, self, index).serve()

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = any
        return Handler
