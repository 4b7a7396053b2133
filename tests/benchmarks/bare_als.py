"""The reference of the training benchmark: `implicit` alone, on the matrix that the training makes. Prints JSON."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime

import numpy as np
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from recommender.interactions import matrix_of, summarize
from recommender.retrievers.neighbors import damped
from recommender.settings import CoreSettings, read_settings
from recommender.storage.database import open_database
from training.dataset import snapshot
from training.fit.weights import weights_of
from training.settings import TrainingSettings
from training.unify import read_dataset


def weighed_matrix(settings: CoreSettings, training: TrainingSettings) -> sp.csr_matrix:
    """Return members x items, weighed as the factors' fit on all data weighs them."""
    dataset = read_dataset(open_database(settings), settings, None, datetime.now(UTC))
    data = snapshot(dataset, dataset.until_minute)
    option = training.weights
    weights = weights_of(option.taste_half_life_days, option.browse_half_life_days, data.n_channels)
    as_of = np.full(len(data.histories), data.as_of, np.int32)
    matrix = matrix_of(summarize(data.histories, as_of, weights), data.n_items, option.browse_weight)
    return damped(matrix[np.flatnonzero(np.diff(matrix.indptr))]) * np.float32(training.factors.alpha)


def main() -> None:
    """Fit once and print the size of the matrix and the seconds of the fit alone."""
    training = TrainingSettings()
    matrix = weighed_matrix(read_settings(CoreSettings, os.environ), training)
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=training.factors.factors,
            regularization=training.factors.regularization,
            alpha=1.0,
            iterations=training.factors.iterations,
            random_state=training.seed,
            num_threads=training.thread_count,
            use_gpu=False,
        )
        began, cpu = time.perf_counter(), time.process_time()
        model.fit(matrix, show_progress=False)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    members, items = matrix.shape
    print(json.dumps({"members": members, "items": items, "pairs": matrix.nnz, "seconds": seconds, "cpu_seconds": cpu}))


if __name__ == "__main__":
    main()
