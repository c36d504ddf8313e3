"""Tasks, the queue of what is not placed, and deployments."""
from __future__ import annotations

from .answer import Answer, deployed
from .exchange import Exchange


class Tasks(Exchange):

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

    def show_queue(self) -> None:
        with self.model.lock:
            shown = self.model.show_queue()
        if "lastUnusedOffers" in self.query.get("embed", []):
            for row in shown["queue"]:
                row["lastUnusedOffers"] = [
                    {"offer": {"hostname": a.hostname, "agentId": a.id},
                     "reason": [], "timestamp": row["since"]}
                    for a in self.model.agents if not a.gone]
        raise Answer(200, shown)

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
