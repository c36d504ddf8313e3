"""What Marathon says about itself, and its stream of events."""
from __future__ import annotations

import json
import queue
import threading

from .answer import HTML, Answer
from .exchange import Exchange

VERSION = "1.10.26"


class About(Exchange):
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
