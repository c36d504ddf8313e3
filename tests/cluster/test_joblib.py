"""joblib's backend 'ipyparallel', as scikit-learn's users know it."""

from __future__ import annotations

import os

import ipyparallel as ipp
import joblib
import pytest
from conftest import WAIT
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC


@pytest.fixture
def view(rc):
    """joblib's backend 'ipyparallel' runs on this view. joblib's closures
    need cloudpickle."""
    ipp.register_joblib_backend()
    rc[:].use_cloudpickle().get(WAIT)
    yield rc.load_balanced_view()
    rc[:].use_pickle().get(WAIT)


def test_tasks_run_on_engines(rc, view):
    pids = set(rc[:].apply_async(os.getpid).get(WAIT))
    with joblib.parallel_backend("ipyparallel", view=view, n_jobs=-1):
        found = joblib.Parallel()(joblib.delayed(os.getpid)()
                                  for _ in range(20))
        squares = joblib.Parallel()(joblib.delayed(lambda n: n * n)(n)
                                    for n in range(100))
    assert len(found) == 20
    assert set(found) <= pids
    assert squares == [n * n for n in range(100)]


def test_grid_search(view):
    """The same best parameters and scores as without a cluster."""
    data, target = load_iris(return_X_y=True)
    grid = {"C": [0.1, 1, 10], "gamma": [0.01, 0.1], "kernel": ["rbf"]}
    alone = GridSearchCV(SVC(), grid, cv=3).fit(data, target)
    search = GridSearchCV(SVC(), grid, cv=3, n_jobs=-1)
    with joblib.parallel_backend("ipyparallel", view=view):
        search.fit(data, target)
    assert search.best_params_ == alone.best_params_
    assert list(search.cv_results_["mean_test_score"]) == list(
        alone.cv_results_["mean_test_score"])
    assert search.best_score_ > 0.95
    assert len(view.client.history) > 6  # it was there that they ran


def test_an_error_of_a_task_is_raised(view):
    with joblib.parallel_backend("ipyparallel", view=view):
        with pytest.raises(Exception, match="division by zero"):
            joblib.Parallel()(joblib.delayed(lambda n: 1 / n)(n)
                              for n in (1, 0))
