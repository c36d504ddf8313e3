"""The same question through scikit-learn's own search: nothing in it knows
of the cluster but the two lines that choose joblib's backend.

    ipmpi start -n 4 --daemon
    python digits_joblib.py [--n 20]
"""

import argparse

import ipyparallel as ipp
import joblib
from scipy.stats import loguniform
from sklearn.datasets import load_digits
from sklearn.model_selection import RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=20)
    parser.add_argument("--cluster-id", default="")
    args = parser.parse_args()

    X, y = load_digits(return_X_y=True)
    search = RandomizedSearchCV(
        make_pipeline(StandardScaler(), SVC()),
        {"svc__C": loguniform(1e-2, 1e3),
         "svc__gamma": loguniform(1e-5, 1e-1)},
        n_iter=args.n, cv=3, random_state=0)
    with ipp.Client(cluster_id=args.cluster_id) as client:
        client.load_balanced_view().register_joblib_backend()
        with joblib.parallel_backend("ipyparallel"):
            search.fit(X, y)
    print(f"best: {search.best_params_} with accuracy "
          f"{search.best_score_:.3f}")


if __name__ == "__main__":
    main()
