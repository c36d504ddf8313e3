"""Upstream's tests that start clusters by themselves start ours.

Each by a way that is a user's, too: the fixtures that name launchers name
ours; the profile's configuration does so for upstream's programs and for who
loads the profile; test_label derives from our class under the name of
upstream's; and 7.1, whose fixtures leave launchers to the default, finds ours
there.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ipmpi.launchers import (
    IpmpiControllerLauncher,
    IpmpiEngineSetLauncher,
)
from ipyparallel.cluster.cluster import Cluster

#: The entry point of both our launchers.
NAME = "ipmpi"

CONFIG = {"Cluster": {"controller_launcher_class": NAME,
                      "engine_launcher_class": NAME}}


class Launching:
    """A pytest plugin, for the stage "ipmpi" only."""

    def __init__(self) -> None:
        Cluster.controller_launcher_class.default_value = (
            IpmpiControllerLauncher)
        Cluster.engine_launcher_class.default_value = IpmpiEngineSetLauncher

    def pytest_collection_modifyitems(self, items) -> None:
        for module in {item.module for item in items}:
            if hasattr(module, "LocalControllerLauncher"):
                module.LocalControllerLauncher = IpmpiControllerLauncher

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef, request):
        if not fixturedef.argname.endswith("_launcher_class"):
            return None
        fixturedef.cached_result = (NAME, fixturedef.cache_key(request), None)
        return NAME

    @pytest.fixture(autouse=True, scope="module")
    def configured(self, ipython_dir) -> None:
        profile = Path(ipython_dir) / "profile_default"
        (profile / "ipcluster_config.json").write_text(json.dumps(CONFIG))
