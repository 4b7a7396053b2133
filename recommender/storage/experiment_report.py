"""What came of experiments: sums over units and by group, their difference with intervals, and the ratio check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from recommender.experiments import Experiment, Group
from recommender.house import SHADOW
from recommender.intervals import Difference, Estimate, Sums, mean_difference, sample_ratio_p, unit_mean
from recommender.storage.exposures import NOT_FLAGGED, flag_pattern
from recommender.storage.statements import fetch
from recommender.storage.types import to_micros

MEASURES = {
    "views": "views",
    "basket_adds": "basket_adds",
    "purchases": "purchases",
    "revenue_cents": "revenue_cents",
    "assisted_purchases": "assisted_purchases",
    "assisted_cents": "assisted_cents",
    "all_revenue_cents": "revenue_cents + assisted_cents",
}
"""What is compared, each per unit, and the SQL of it."""
RATIO_ALARM = 0.001
"""Below this p-value the groups are not of the sizes that were asked for, and no comparison is to be trusted."""

_SHOWN = f"experiment = ? AND experiment_unit IS NOT NULL AND occurred_at >= ? AND occurred_at < ? AND {NOT_FLAGGED}"
_STATEMENT = f"""
SELECT g, COUNT(*), SUM(slates), SUM(items), SUM(fallbacks),
  {", ".join(f"SUM(y{n}), SUM(CAST(y{n} AS DOUBLE PRECISION) * y{n})" for n in range(len(MEASURES)))}
FROM (
  SELECT experiment_group AS g, experiment_unit AS u, COUNT(*) AS items,
    SUM(CASE WHEN position = 1 THEN 1 ELSE 0 END) AS slates,
    SUM(CASE WHEN position = 1 AND flags LIKE ? THEN 1 ELSE 0 END) AS fallbacks,
    {", ".join(f"SUM({what}) AS y{n}" for n, what in enumerate(MEASURES.values()))}
  FROM exposures WHERE {_SHOWN} GROUP BY experiment_group, experiment_unit) AS of_unit
GROUP BY g"""
_IN_BOTH = f"""
SELECT COUNT(*) FROM (
  SELECT experiment_unit FROM exposures WHERE {_SHOWN}
  GROUP BY experiment_unit HAVING COUNT(DISTINCT experiment_group) > 1) AS crossed"""

FALLBACK = "experiment_fallback"
"""Flag of a slate whose group's bundle could not be served, so that the promoted one answered."""


@dataclass(frozen=True, slots=True)
class GroupResult:
    """One group: units seen, what they were shown, how many slates fell back, and each measure per unit."""

    units: int
    slates: int
    items: int
    fallbacks: int
    means: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class ExperimentResult:
    """An experiment's groups and how they differ.

    differences: treatment against control, by measure.
    ratio_p: p-value of the sample-ratio check, None without units.
    units_in_both: units that were seen in both groups, which spoil the comparison.
    """

    groups: Mapping[Group, GroupResult]
    differences: Mapping[str, Difference]
    ratio_p: float | None
    units_in_both: int


def read_result(connection: Connection, experiment: Experiment, now: datetime) -> ExperimentResult:
    """Compare the groups of an experiment over everything shown in it until now."""
    until = experiment.stopped_at or now
    values = (experiment.name, to_micros(experiment.started_at), to_micros(until), flag_pattern(SHADOW))
    rows = {row[0]: row[1:] for row in fetch(connection, _STATEMENT, (flag_pattern(FALLBACK), *values))}
    empty = (0,) * (4 + 2 * len(MEASURES))
    groups, sums = {}, {}
    for group in Group:
        units, slates, items, fallbacks, *figures = rows.get(group.value, empty)
        sums[group] = {
            name: Sums(int(units), float(units), float(y), float(units), float(y), float(yy))
            for name, y, yy in zip(MEASURES, figures[::2], figures[1::2], strict=True)
        }
        means = {name: unit_mean(found) for name, found in sums[group].items()}
        groups[group] = GroupResult(int(units), int(slates), int(items), int(fallbacks), means)
    shares = (experiment.control_share / 1.0, experiment.treatment_share / 1.0)
    counts = (groups[Group.CONTROL].units, groups[Group.TREATMENT].units)
    return ExperimentResult(
        groups=groups,
        differences={
            name: mean_difference(sums[Group.TREATMENT][name], sums[Group.CONTROL][name]) for name in MEASURES
        },
        ratio_p=sample_ratio_p(counts, shares),
        units_in_both=int(fetch(connection, _IN_BOTH, values)[0][0]),
    )
