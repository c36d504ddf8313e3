"""The UTS example: counts of small trees against another way to count them,
and of the published T1."""

from __future__ import annotations

import hashlib
import math
import struct
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]
                       / "bridge/client/examples"))
import uts  # noqa: E402


@pytest.fixture(autouse=True)
def ours_only(kind):
    if kind != "ipmpi":
        pytest.skip("upstream's engines have no submit()")


def children(tree, depth, state):
    """As the benchmark's own C code says it."""
    kind, b0, limit = tree
    value = struct.unpack(">5I", state)[4] & 0x7fffffff
    u = value / 2147483648.0
    if kind == "binomial":
        if depth == 0:
            return math.floor(b0)
        return limit[0] if u < limit[1] else 0
    b = b0 if depth < limit else 0.0
    p = 1.0 / (1.0 + b)
    if b == 0.0:
        return 0
    return min(math.floor(math.log(1 - u) / math.log(1 - p)), 100)


def walk(tree, depth, state):
    return 1 + sum(
        walk(tree, depth + 1,
             hashlib.sha1(state + struct.pack(">I", i)).digest())
        for i in range(children(tree, depth, state)))


TREES = [(("geometric", 4.0, 6), 19), (("geometric", 2.0, 12), 34),
         (("binomial", 50.0, (4, 0.2)), 7)]


def test_small_trees(make_cluster, connect):
    rc = connect(make_cluster(3))
    for tree, seed in TREES:
        (depth, state), = uts.root(seed)
        assert uts.count(rc, tree, seed, 100, 60) == walk(tree, depth, state)


@pytest.mark.long
@pytest.mark.seconds(300)
def test_the_published_count(make_cluster, connect):
    rc = connect(make_cluster(4))
    tree, seed, published = uts.TREES["T1"]
    assert uts.count(rc, tree, seed, 20000, 280) == published
