"""UTS, the unbalanced tree search, with tasks that submit tasks.

The tree is not known beforehand: each node's number of children comes from a
SHA-1 hash of its parent's, so the only way to balance the load is to move work
while it appears. The count of nodes is the check: it is published.

    mpirun -np 5 ipmpi-engine &
    python3 uts.py --tree T1 --grain 20000

Olivier, Huan, Liu, Prins, Dinan, Sadayappan, Tseng: UTS: An Unbalanced Tree
Search Benchmark, LCPC 2006; trees and counts: its sample_trees.
"""

from __future__ import annotations

import argparse
import time

import ipyparallel as ipp
from ipyparallel import interactive

# kind, branching b0, depth limit or (m, q), seed of the root, nodes
TREES = {
    "T1": (("geometric", 4.0, 10), 19, 4130071),
    "T3": (("binomial", 2000.0, (8, 0.124875)), 42, 4112897),
}


@interactive
def visit(tree, stack, most):
    """Visits nodes from `stack`, a list of (depth, state), and what is below
    them, `most` of them; returns how many, and the stack that is left."""
    import hashlib
    import math

    kind, b0, limit = tree
    sha1, log = hashlib.sha1, math.log
    numbers = [i.to_bytes(4, "big") for i in range(int(max(b0, 100)) + 1)]
    log_q = log(1 - 1 / (1 + b0))
    nodes = 0
    while stack and nodes < most:
        depth, state = stack.pop()
        nodes += 1
        random = int.from_bytes(state[16:], "big") & 0x7fffffff
        if kind == "binomial":
            m, q = limit
            count = int(b0) if depth == 0 else m * (random / 2**31 < q)
        elif depth >= limit:
            count = 0
        else:
            count = min(100, int(log(1 - random / 2**31) / log_q))
        stack += [(depth + 1, sha1(state + number).digest())
                  for number in numbers[:count]]
    return nodes, stack


@interactive
def subtree(tree, stack, grain):
    """Counts the nodes of `stack` and below. After `grain` nodes what is left
    becomes two children."""
    from ipmpi import submit

    nodes, stack = visit(tree, stack, grain)
    futures = [submit(subtree, tree, part, grain)
               for part in (stack[::2], stack[1::2]) if part]
    return nodes + sum(future.result() for future in futures)


def root(seed: int) -> list:
    """The stack that holds a tree's root."""
    import hashlib
    return [(0, hashlib.sha1(bytes(16) + seed.to_bytes(4, "big")).digest())]


def count(rc: ipp.Client, tree: tuple, seed: int, grain: int,
          timeout: float | None = None) -> int:
    """The nodes of a tree, counted by a cluster."""
    rc[:].push({"subtree": subtree, "visit": visit}, block=True)
    return rc.load_balanced_view().apply_async(
        subtree, tree, root(seed), grain).get(timeout=timeout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tree", choices=TREES, default="T1")
    parser.add_argument("--grain", type=int, default=20000,
                        help="nodes a task counts by itself (20000)")
    parser.add_argument("--profile", default="default")
    options = parser.parse_args()
    tree, seed, published = TREES[options.tree]
    with ipp.Client(profile=options.profile) as rc:
        start = time.monotonic()
        nodes = count(rc, tree, seed, options.grain)
        seconds = time.monotonic() - start
    print(f"{options.tree}: {nodes} nodes in {seconds:.1f} s, "
          f"{nodes / seconds:.0f} a second; published: {published}")
    raise SystemExit(nodes != published)


if __name__ == "__main__":
    main()
