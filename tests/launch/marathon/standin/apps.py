"""Applications and their versions."""
from __future__ import annotations

import re

from .answer import Answer, deployed
from .exchange import Exchange
from .model import App


class Apps(Exchange):

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
