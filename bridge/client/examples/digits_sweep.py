"""Which support vector machine reads handwritten digits best?

    ipmpi start -n 4 --daemon
    python digits_sweep.py [--n 60] [--journal digits.jsonl]

Sixty settings are tried on a few hundred digits each; only the best third go
on to more data, and the best of those to all of it. Stop it with Ctrl-C and
start it again with the same journal: it goes on where it was.
"""

import argparse

import ipyparallel as ipp
from ipmpi.sweep import Asha, Sweep, loguniform


def train(C, gamma, budget):
    """Accuracy of one setting on `budget` digits, cross-validated."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    X, y = load_digits(return_X_y=True)
    rows = int(budget)
    model = make_pipeline(StandardScaler(), SVC(C=C, gamma=gamma))
    scores = cross_val_score(model, X[:rows], y[:rows], cv=3)
    return {"score": scores.mean(), "spread": float(scores.std())}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=60)
    parser.add_argument("--journal")
    parser.add_argument("--cluster-id", default="")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    space = {"C": loguniform(1e-2, 1e3), "gamma": loguniform(1e-5, 1e-1)}
    search = Asha(space, args.n, min_budget=198, max_budget=1782, factor=3,
                  seed=args.seed)
    with ipp.Client(cluster_id=args.cluster_id) as client:
        results = Sweep(train, search, client, journal=args.journal).run()
    print("\n".join(str(results).splitlines()[:11]))
    best = results.best
    print(f"best: C={best.params['C']:.3g} gamma={best.params['gamma']:.3g} "
          f"with accuracy {best.score:.3f}")


if __name__ == "__main__":
    main()
