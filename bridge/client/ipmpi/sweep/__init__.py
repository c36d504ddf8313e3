"""Hyperparameter search on any ipyparallel client.

    import ipyparallel as ipp
    from ipmpi.sweep import Asha, Sweep, loguniform, randint

    def train(lr, depth, budget):            # budget: epochs, trees, rows, ..
        ...
        return accuracy                      # or {"score": accuracy, ..}

    search = Asha({"lr": loguniform(1e-4, 1), "depth": randint(2, 10)},
                  n=100, min_budget=1, max_budget=27)
    results = Sweep(train, search, ipp.Client(), journal="sweep.jsonl").run()
    print(results)                           # a table, best first
    results.best.params

Searches: Grid and Random run every setting once; Halving and Asha give all a
small budget and only the best of them more, decided as metrics arrive. With a
journal, a sweep that was interrupted goes on where it was.

A space also takes lists, ranges and arrays (a choice among their items) and
distributions of scipy.stats. Large data travels once, not with each job:

    rc[:].push({"X": X, "y": y}, block=True)   # train() finds them as globals
"""

from .results import Record, Results
from .runner import Sweep, SweepError
from .searches import Asha, Grid, Halving, Job, Random
from .space import choice, loguniform, randint, uniform

__all__ = [
    "Asha", "Grid", "Halving", "Job", "Random", "Record", "Results", "Sweep",
    "SweepError", "choice", "loguniform", "randint", "uniform",
]
