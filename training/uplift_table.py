"""Reads a plain table of a randomised experiment, and writes the effect that each arm has on each of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from recommender.errors import InputError, TrainingDataError
from training.fit.uplift import Apart, Trial, UpliftModel, check_trial, estimate_apart, fit_uplift

FloatVector = npt.NDArray[np.float64]
FloatMatrix = npt.NDArray[np.float64]
BoolVector = npt.NDArray[np.bool_]

CONTROL_NAMES = ("0", "false", "control", "holdout", "none", "no")
"""What the control may be called, or begin with before a blank; in small letters."""
LEAST_SHARE = 0.005
"""Texts in fewer rows than this share count as one."""
MOST_TEXTS = 50
"""A column of more different texts says nothing of a row."""
SKEWED = 2.0
"""Amounts of a greater skewness are taken by their logarithm."""
TELLING = 30.0
"""Rows of an outcome expected in a group without which the group follows from the outcome."""
UNBALANCED = 5.0
"""Standard errors by which a feature may differ between arms; more, and it came after the treatment."""


@dataclass(frozen=True, slots=True)
class TableColumns:
    """Which columns of a table are what; control: the value of `treatment` that stands for no treatment."""

    treatment: str
    outcome: str
    propensity: str | None = None
    control: str | None = None
    features: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UpliftTable:
    """A table ready to be learned from.

    arms: names of the arms, the control first.  features: of all rows, as the columns named.
    known: rows whose arm and outcome are known; `trial` holds these, `features` all.
    left_out: columns that were not used, each with the reason.
    """

    frame: pd.DataFrame
    arms: tuple[str, ...]
    used: tuple[str, ...]
    left_out: dict[str, str]
    features: FloatMatrix
    known: BoolVector
    trial: Trial


def read_table(file: Path, columns: TableColumns) -> UpliftTable:
    """Read a CSV or Parquet file with one row per unit.

    Rows without treatment or outcome are not learned from, but their effects are estimated too.

    Raises: InputError naming a column that is missing or cannot be read; TrainingDataError if there are no two arms.
    """
    frame = _read_frame(file)
    for name in (columns.treatment, columns.outcome, columns.propensity, *columns.features):
        if name is not None and name not in frame.columns:
            raise InputError("The table has no such column.", field=name, accepted=", ".join(map(str, frame.columns)))
    outcome = pd.to_numeric(frame[columns.outcome], errors="coerce").to_numpy(np.float64)
    treatment = frame[columns.treatment]
    known = np.isfinite(outcome) & treatment.notna().to_numpy()
    if not known.any():
        raise TrainingDataError("No row has both a treatment and a numeric outcome.", field=columns.outcome)
    named = treatment.map(_text).to_numpy()
    arms = _arms(sorted(set(named[known])), columns)
    arm = np.array([arms.index(name) for name in named[known]], np.int64)
    propensity = _propensity(frame[known], columns, arm, len(arms))
    used, left_out = _choose(frame[known], columns, arm, outcome[known])
    features = _encode(frame, used)
    trial = Trial(features[known], arm, outcome[known], propensity)
    check_trial(trial)
    return UpliftTable(frame, arms, tuple(used), left_out, features, known, trial)


def estimate_rows(table: UpliftTable, seed: int, folds: int) -> tuple[Apart, UpliftModel]:
    """Estimate the effects on every row: those with an outcome by models that have not seen them.

    Returns: estimates of all rows of the table, and the model of all rows that are known.
    """
    model = fit_uplift(table.trial, seed, folds)
    effect, error = model.predict(table.features)
    expected = model.expected(table.features)
    apart = estimate_apart(table.trial, seed, folds)
    effect[table.known], error[table.known] = apart.effect, apart.error
    expected[table.known] = apart.expected
    return Apart(effect, error, expected), model


def write_effects(table: UpliftTable, found: Apart, out: Path) -> None:
    """Write one row per row of the table: its number from 0, and effect and standard error of each arm.

    With a single treatment the columns are `effect` and `standard_error`; else each ends in the arm's name.
    """
    columns: dict[str, object] = {"row": np.arange(len(table.frame))}
    for number, name in enumerate(table.arms[1:]):
        ending = "" if len(table.arms) == 2 else f":{name}"
        columns[f"effect{ending}"] = found.effect[:, number]
        columns[f"standard_error{ending}"] = found.error[:, number]
    frame = pd.DataFrame(columns)
    if out.suffix == ".parquet":
        frame.to_parquet(out, index=False)
    else:
        frame.to_csv(out, index=False)


def _read_frame(file: Path) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)
    except (OSError, ValueError) as error:
        raise InputError(f"The table cannot be read: {error}.", field="file", value=file) from error
    if frame.empty:
        raise InputError("The table has no rows.", field="file", value=file)
    return frame


def _text(value: object) -> str:
    """Return a value as its name; whole numbers without a point."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _arms(names: Sequence[str], columns: TableColumns) -> tuple[str, ...]:
    """Return the names of the arms, the control first."""
    if columns.control is not None:
        controls = [name for name in names if name == columns.control]
    else:
        controls = [name for name in names if name.lower().split(" ")[0] in CONTROL_NAMES]
    if len(names) < 2:
        raise TrainingDataError(
            "There is a single arm: an effect is a difference between two.",
            field=columns.treatment,
            value=", ".join(names),
        )
    if len(controls) != 1:
        raise InputError(
            "Which value stands for no treatment? Name it with --control.",
            field="control",
            value=columns.control,
            accepted=", ".join(names),
        )
    return (controls[0], *(name for name in names if name != controls[0]))


def _propensity(frame: pd.DataFrame, columns: TableColumns, arm: npt.NDArray[np.int64], arms: int) -> FloatMatrix:
    """Return the chance of each arm: of the arm drawn as the column says, the rest as the arms' shares say."""
    share = np.bincount(arm, minlength=arms) / len(arm)
    chances = np.tile(share, (len(arm), 1))
    if columns.propensity is None:
        return chances
    given = pd.to_numeric(frame[columns.propensity], errors="coerce").to_numpy(np.float64)
    if not ((given > 0) & (given <= 1)).all():
        raise InputError(
            "A propensity is no chance.", field=columns.propensity, accepted="the chance of the row's arm, above 0 to 1"
        )
    row = np.arange(len(arm))
    rest = chances.copy()
    rest[row, arm] = 0.0
    chances = rest / np.maximum(rest.sum(axis=1, keepdims=True), 1e-12) * (1 - given)[:, None]
    chances[row, arm] = given
    return chances


def _choose(
    frame: pd.DataFrame, columns: TableColumns, arm: npt.NDArray[np.int64], outcome: FloatVector
) -> tuple[list[str], dict[str, str]]:
    """Choose the features: those named, or all that can have been known before the treatment."""
    taken = {columns.treatment, columns.outcome, columns.propensity}
    if columns.features:
        return [name for name in columns.features if name not in taken], {}
    used: list[str] = []
    left_out: dict[str, str] = {}
    for name in frame.columns:
        if name in taken:
            continue
        reason = _reason_against(frame[name], arm, outcome)
        if reason is None:
            used.append(name)
        else:
            left_out[name] = reason
    return used, left_out


def _reason_against(column: pd.Series, arm: npt.NDArray[np.int64], outcome: FloatVector) -> str | None:
    """Return why a column is no feature, None if it can be one."""
    groups = _groups(column)
    if groups is None:
        return "a different text in almost every row"
    if len(groups) < 2:
        return "the same in every row"
    success = outcome > np.min(outcome)
    rate = float(success.mean())
    for inside in groups:
        count, hits = float(inside.sum()), float(success[inside].sum())
        if (hits == 0 and count * rate > TELLING) or (hits == count and count * (1 - rate) > TELLING):
            return "follows from the outcome"
        for number in range(1, int(arm.max()) + 1):
            one, other = inside[arm == number], inside[arm == 0]
            pooled = float(np.concatenate((one, other)).mean())
            error = np.sqrt(pooled * (1 - pooled) * (1 / max(len(one), 1) + 1 / max(len(other), 1)))
            if error > 0 and abs(float(one.mean()) - float(other.mean())) > UNBALANCED * error:
                return "differs between the arms, so it came after the treatment"
    return None


def _groups(column: pd.Series) -> list[BoolVector] | None:
    """Split rows by a column: a number is 0 or not, or above its middle or not; a text is one of its values."""
    if pd.api.types.is_numeric_dtype(column):
        value = column.to_numpy(np.float64)
        parts = [value == 0, ~(value == 0)] if (value == 0).mean() > LEAST_SHARE else []
        middle = float(np.nanmedian(value)) if np.isfinite(value).any() else 0.0
        parts += [value > middle, ~(value > middle)]
        return [part for part in parts if part.any()]
    names = column.map(_text).to_numpy()
    values = sorted(set(names))
    if len(values) > MOST_TEXTS:
        return None
    return [names == value for value in values]


def _encode(frame: pd.DataFrame, used: Sequence[str]) -> FloatMatrix:
    """Return features of zero mean and unit variance: numbers, and one column per frequent text."""
    columns: list[FloatVector] = []
    for name in used:
        column = frame[name]
        if pd.api.types.is_numeric_dtype(column):
            columns += _number_columns(column.to_numpy(np.float64))
        else:
            names = column.map(_text).to_numpy()
            values, counts = np.unique(names, return_counts=True)
            columns += [(names == v).astype(np.float64) for v in values[counts >= LEAST_SHARE * len(names)]]
    if not columns:
        return np.zeros((len(frame), 0))
    matrix = np.stack(columns, axis=1)
    spread = matrix.std(axis=0)
    matrix, spread = matrix[:, spread > 0], spread[spread > 0]
    found: FloatMatrix = (matrix - matrix.mean(axis=0)) / spread
    return found


def _number_columns(value: FloatVector) -> list[FloatVector]:
    """Return a number by its logarithm where it is a skewed amount, and whether it is missing."""
    missing = ~np.isfinite(value)
    filled = np.where(missing, np.nanmedian(value[~missing]) if (~missing).any() else 0.0, value)
    spread = float(filled.std())
    if filled.min() >= 0 and spread > 0 and float((((filled - filled.mean()) / spread) ** 3).mean()) > SKEWED:
        filled = np.log1p(filled)
    return [filled, missing.astype(np.float64)] if missing.any() else [filled]
