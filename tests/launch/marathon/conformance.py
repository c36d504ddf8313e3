#!/usr/bin/env python3
"""Runs the table conformance.json against Marathon's API: request to status,
headers and skeleton of the body. Without arguments against the stand-in; with
a URL against a real Marathon (it makes and deletes applications below
/ipmpi-conformance):

    tests/launch/marathon/conformance.py [http://marathon:8080]

In a skeleton "str", "int", "float", "bool", "list", "dict", "null" and
alternatives by "|" are types, "=text" is that text; lists are compared by
their first element; members that are not named may be there. A row with
`until` is repeated for 60 s until its status and that skeleton fit.
"""
from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path[:0] = [str(path) for path in Path(__file__).resolve().parents[:3]]
PREFIX = "ipmpi-conformance"
TYPES = {"str": str, "int": int, "float": (int, float), "bool": bool,
         "list": list, "dict": dict, "null": type(None)}
WAIT = 60


def differs(want, have, path: str = "body") -> str:
    """Why `have` does not fit; "" if it does."""
    if isinstance(want, str) and want.startswith("="):
        shown = have if isinstance(have, str) else json.dumps(have)
        wanted = want[1:].strip("'") if want.startswith("='") else want[1:]
        fits = shown.strip("'") == wanted
        return "" if fits else f"{path} is {shown!r}, not {wanted!r}"
    if isinstance(want, str):
        fits = any(isinstance(have, TYPES[t]) for t in want.split("|"))
        return "" if fits else f"{path} is {have!r}, no {want}"
    if isinstance(want, dict):
        if not isinstance(have, dict):
            return f"{path} is {have!r}, no object"
        for key, value in want.items():
            if key not in have:
                return f"{path} has no {key}"
            why = differs(value, have[key], f"{path}.{key}")
            if why:
                return why
    if isinstance(want, list):
        if not isinstance(have, list) or not have:
            return f"{path} is {have!r}, no list of something"
        return differs(want[0], have[0], f"{path}[0]")
    return ""


def ask(url: str, row: dict) -> tuple[int, dict, object]:
    method, path, *rest = row["request"]
    data = row["raw"].encode() if "raw" in row else \
        json.dumps(rest[0]).encode() if rest else None
    request = urllib.request.Request(
        url + path, data, {"Content-Type": "application/json"},
        method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            status, headers, text = answer.status, answer.headers, \
                answer.read()
    except urllib.error.HTTPError as error:
        status, headers, text = error.code, error.headers, error.read()
    try:
        return status, headers, json.loads(text)
    except ValueError:
        return status, headers, text.decode(errors="replace")


def judge(url: str, row: dict) -> str:
    status, headers, body = ask(url, row)
    if status != row["status"]:
        return f"status is {status}, not {row['status']}: {str(body)[:200]}"
    for name in row.get("headers", []):
        if name not in headers:
            return f"no header {name}"
    for skeleton in (row.get("until"), row.get("body")):
        why = differs(skeleton, body) if skeleton else ""
        if why:
            return why
    return ""


def run(url: str) -> int:
    text = (Path(__file__).parent / "conformance.json").read_text()
    failed = 0
    for row in json.loads(text.replace("PREFIX", PREFIX)):
        end = time.monotonic() + (WAIT if "until" in row else 0)
        why = judge(url, row)
        while why and time.monotonic() < end:
            time.sleep(0.3)
            why = judge(url, row)
        failed += bool(why)
        print(f"{'NOT' if why else 'ok '} {row['name']}"
              + (f": {why}" if why else ""))
    print(f"{failed} rows failed")
    return 1 if failed else 0


def main() -> int:
    if len(sys.argv) > 1:
        return run(sys.argv[1].rstrip("/"))
    from standin import Agent, FakePlacer, Standin
    with Standin([Agent(hostname=f"host{i}") for i in range(3)],
                 FakePlacer()) as server:
        return run(server.url)


if __name__ == "__main__":
    sys.exit(main())
