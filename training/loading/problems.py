"""Turns the problem numbers of a batch into rejects with line, column, value and reason."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from recommender.errors import InputError
from training.loading.place import TableLoad
from training.loading.rejects import Reject
from training.sources.selection import Selection
from training.sources.source import Source


def report_problems(load: TableLoad, selection: Selection, first: int, batch: pa.RecordBatch) -> None:
    """Report the rows of a batch that have a problem.

    Args:
        first: row number in the source of the batch's first row.
        batch: with columns `problem` and `shown`.
    """
    problem = batch.column("problem")
    at = np.flatnonzero(problem.is_valid().to_numpy(zero_copy_only=False))
    if not len(at):
        return
    chosen = pa.array(at)
    lines = load.source.lines(first + at).tolist()
    shown = batch.column("shown").take(chosen).to_pylist()
    for line, number, value in zip(lines, problem.take(chosen).to_pylist(), shown, strict=True):
        check = selection.checks[number]
        column = selection.shown_column(check)
        load.rejects.add(Reject(line, column, value or "", check.reason, check.accepted))


def check_rows(source: Source, read: int) -> None:
    """Check that as many rows were read as were found well formed.

    Raises: InputError otherwise: line numbers would be wrong, and something was lost.
    """
    if read != source.rows:
        raise InputError(
            "The file cannot be read reliably.",
            field="file",
            value=source.path.name,
            accepted=f"{source.rows} rows as found, {read} as read",
        )
