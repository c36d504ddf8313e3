"""Who of a set of engines is there, and when the last has gone."""

from __future__ import annotations

import time

from ..hub import Hub, HubError, HubTimeout
from .base import on_loop


class Watch:
    """One thread that follows a set's engines by the controller's news.

    An engine counts as gone when it left the controller's list, or when
    notice of its end came. The controller's list is asked for now and then,
    since news to a new subscriber can be lost, and none tells of an engine
    that died before it had registered.
    """

    ASK_SECONDS = 1.0

    def __init__(self, launcher, controller, loop,
                 started: bool) -> None:
        self.launcher, self.controller, self.loop = launcher, controller, loop
        self.wanted = set(launcher.engine_ids)
        self.seen: set[int] = set()
        self.gone: set[int] = set()
        self.started = started
        self.heard = time.monotonic()

    def run(self) -> None:
        code = 1
        try:
            with self.launcher._hub() as hub:
                code = self._follow(hub)
        except (OSError, ValueError) as error:
            self._say(f"cannot follow the engines: {error}")
        if code is not None:
            on_loop(self.loop, self.launcher.notify_stop,
                    self.launcher.end_data(code))

    def _follow(self, hub: Hub) -> int | None:
        """Until all are gone: 1; until told to stop: None."""
        while not self.launcher._stop_watching.is_set():
            for kind, content in hub.news(0.2):
                self._take_news(kind, content)
                if self._over():
                    break
            self._ask(hub)
            if self._over():
                return 1
            if self.controller is not None and self.controller.ended():
                self._say("the job has ended")
                return 1
            if time.monotonic() - self.heard > self.launcher.lost_seconds:
                self._say("the controller does not answer")
                return 1
        self._ask(hub)
        return None

    def _over(self) -> bool:
        return self.gone >= self.wanted

    def _take_news(self, kind: str, content: dict) -> None:
        self.heard = time.monotonic()
        if kind == "registration_notification":
            self._came(content["id"])
        elif kind == "unregistration_notification":
            self._left(content["id"])
        elif kind == "shutdown_notification":
            self.gone |= self.wanted

    def _ask(self, hub: Hub) -> None:
        try:
            status = hub.ask("ipmpi_status_request",
                             seconds=self.ASK_SECONDS)
        except (HubTimeout, HubError):
            return
        self.heard = time.monotonic()
        states = {engine["id"]: engine["state"]
                  for engine in status["engines"]}
        for number in sorted(states):
            if states[number] != "starting":
                self._came(number)
        for number in self.wanted - set(states):
            self._left(number)

    def _came(self, number: int) -> None:
        if number in self.wanted and number not in self.seen | self.gone:
            self.seen.add(number)
            self._say(f"Completed registration with id {number}")

    def _left(self, number: int) -> None:
        if number in self.wanted and number not in self.gone:
            self.seen.discard(number)
            self.gone.add(number)
            self._say(f"engine {number} has left")

    def _say(self, words: str) -> None:
        if not self.started:  # whoever started the set writes its log
            return
        with open(self.launcher.output_file, "a") as log:
            log.write(words + "\n")
