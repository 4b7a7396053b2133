"""Work on all cores gives what work in one process gives."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from training.parallel import in_parallel


@pytest.mark.parametrize("processes", [1, 2, 8])
def test_results_come_in_the_order_of_the_parts(processes: int) -> None:
    held = np.arange(10)
    assert list(in_parallel(lambda part: int(held[part] ** 2), [3, 1, 2], processes)) == [9, 1, 4]


def test_parts_are_done_elsewhere() -> None:
    assert os.getpid() not in in_parallel(lambda part: os.getpid(), [1, 2], 2)
    assert list(in_parallel(lambda part: os.getpid(), [1, 2], 1)) == [os.getpid()] * 2


def test_one_part_needs_no_other_process() -> None:
    assert list(in_parallel(lambda part: os.getpid(), [1], 2)) == [os.getpid()]
    assert list(in_parallel(lambda part: part, [], 2)) == []


def test_what_is_raised_elsewhere_is_raised_here() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_parallel(lambda part: 1 // part, [1, 0], 2))
    assert list(in_parallel(lambda part: part, [1, 2], 2)) == [1, 2]


def test_trees_are_read_in_forked_processes_after_training_on_threads() -> None:
    """In a process of its own: where this fails it waits for ever."""
    subprocess.run([sys.executable, "-c", READ_TREES], check=True, timeout=60)


READ_TREES = """
import lightgbm, numpy as np
from recommender.query import Scenario
from recommender.ranking import Trees
from training.parallel import in_parallel

x = np.random.default_rng(0).random((5000, 5)).astype(np.float32)
options = {"objective": "binary", "num_threads": 2, "verbose": -1}
trained = lightgbm.train(options, lightgbm.Dataset(x, x[:, 0] > 0.5), 20)
trees = Trees(1.0, trained.model_to_string())
parts = list(in_parallel(lambda part: trees.score(np.zeros(9, np.float32), x[:9]).tolist(), [1, 2, 3], 2))
assert parts == [trees.score(np.zeros(9, np.float32), x[:9]).tolist()] * 3
"""
