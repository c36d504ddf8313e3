"""Groups of applications."""
from __future__ import annotations

from .answer import Answer, deployed
from .exchange import Exchange
from .model import App, stamp


class Groups(Exchange):
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
