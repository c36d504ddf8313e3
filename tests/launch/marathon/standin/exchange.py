"""One request on its way in and its answer on the way out, with all that
stands before the API: credentials, load, the standby's proxy."""
from __future__ import annotations

import base64
import gzip
import http.client
import json
import re
import ssl
import time
from urllib.parse import parse_qs, unquote, urlsplit

from . import checks
from .answer import HTML, Answer
from .model import App, Locked

CHUNKED_FROM = 400  # long answers have no length, as Marathon's
UNVERIFIED = ssl._create_unverified_context()


class Exchange:
    """One request and its answer; subclasses dispatch."""

    def __init__(self, standin, handler, index: int) -> None:
        self.standin = standin
        self.model = standin.model
        self.handler = handler
        self.index = index
        parts = urlsplit(handler.path)
        self.path = re.sub("/+", "/", unquote(parts.path)).rstrip("/") or "/"
        self.query = parse_qs(parts.query, keep_blank_values=True)


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
        chunked = handler.command == "GET" and len(data) > CHUNKED_FROM
        handler.send_response(answer.status)
        handler.send_header("Content-Type", kind)
        if chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        else:
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
        if chunked:
            half = len(data) // 2
            data = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in
                            (data[:half], data[half:], b""))
        handler.wfile.write(data)

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
        if standin.refusal and self.handler.command != "GET":
            raise Answer(403, standin.refusal)
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
            raise Answer(302, None, Location=f"{standin.url}/v2/events")
        chunked = "Transfer-Encoding" in self.handler.headers
        headers = {k: v for k, v in self.handler.headers.items()
                   if k.lower() not in ("host", "transfer-encoding",
                                        "content-length", "accept-encoding",
                                        "connection")}
        try:
            connection = http.client.HTTPConnection(leader, timeout=30) \
                if standin.scheme == "http" else http.client.HTTPSConnection(
                    leader, timeout=30, context=UNVERIFIED)
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

    def dispatch(self) -> None:
        """Raises the Answer; returns if no route fits."""
        raise NotImplementedError

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
