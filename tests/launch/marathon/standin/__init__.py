"""A stand-in for Marathon: its published API over tasks that really run.

Marathon needs Mesos, which cannot be had on a test machine. `model` decides
(applications, offers, tasks, deployments), `placing` runs tasks as Docker
containers or as processes in namespaces, `http` speaks, `faults` are methods
of `Standin`. What it is held to: clients that others wrote (test_clients.py)
and the table conformance.json, which can be run against a real Marathon.
"""
from .http import Standin
from .model import Agent
from .placing import DockerPlacer, FakePlacer, NamespacePlacer

__all__ = ["Agent", "DockerPlacer", "FakePlacer", "NamespacePlacer",
           "Standin"]
