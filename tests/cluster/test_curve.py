"""CURVE when asked for: by option and by environment."""

from __future__ import annotations

import os

import pytest
import zmq
from ipyparallel import interactive
from raw import RawClient


@pytest.fixture(params=["option", "environment"])
def curved(request, make_cluster, monkeypatch):
    monkeypatch.setenv("IPP_ENABLE_CURVE", "1")  # the client's side
    if request.param == "environment":
        return make_cluster(2, env={"IPP_ENABLE_CURVE": "1"})
    return make_cluster(2, args=("--enable-curve",),
                        env={"IPP_ENABLE_CURVE": None})


def test_client_over_curve(curved, connect):
    info = curved.info()
    assert info["key"] == ""
    assert len(info["curve_serverkey"]) == 40
    rc = connect(curved)
    assert rc[:].apply_sync(interactive(lambda: 2)) == [2, 2]
    ar = rc[:].apply_async(print, "said")
    ar.wait_for_output(10)
    assert ar.stdout == ["said\n"] * 2
    assert rc.load_balanced_view().apply_sync(os.getpid) > 0


def test_without_curve_nobody_answers(curved, connect):
    with RawClient(curved.info()) as raw:
        raw.send("registration", raw.frames("connection_request"))
        assert raw.receive("registration", 1.0) is None
        public, secret = zmq.curve_keypair()
        wrong = raw.context.socket(zmq.DEALER)
        wrong.curve_publickey, wrong.curve_secretkey = public, secret
        wrong.curve_serverkey = zmq.curve_keypair()[0]
        wrong.connect(f"{raw.info['interface']}:{raw.info['registration']}")
        wrong.send_multipart(raw.frames("connection_request"))
        assert not wrong.poll(1000)
    assert len(connect(curved).ids) == 2
