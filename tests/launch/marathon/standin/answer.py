"""An answer of the stand-in, raised from anywhere."""
from __future__ import annotations

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
