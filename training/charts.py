"""Charts of the report as numbers: where lines, bands, columns and labels lie; the templates draw them as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 54, 14, 12, 30
TICKS = 4
LABEL_WIDTH = 36
Point = tuple[float, float, float, float, str]
"""x, mean, low, high, label under the axis."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its name and points, left to right; means that are None are left out."""

    name: str
    points: Sequence[Point]


def line_chart(lines: Sequence[Line]) -> dict[str, Any]:
    """Lay lines with bands out, from zero upwards.

    Returns: texts and numbers in the units of a WIDTH x HEIGHT view box: per line its name, path, band and dots; ticks
        of the value axis; labels below, each at its place.
    """
    points = [point for line in lines for point in line.points]
    x = _scale([point[0] for point in points], LEFT, WIDTH - RIGHT)
    top = max((point[3] for point in points), default=1.0) or 1.0
    labels = sorted({point[0]: point[4] for point in points}.items())
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "lines": [_drawn(line, x, top) for line in lines],
        "ticks": _ticks(top),
        "labels": _apart([{"x": round(x(at), 1), "text": text} for at, text in labels]),
    }


def column_chart(series: Mapping[str, Sequence[float]], labels: Sequence[str]) -> dict[str, Any]:
    """Lay groups of columns out: one group per label, in it one column per series."""
    top = max((value for values in series.values() for value in values), default=1.0) or 1.0
    step = (WIDTH - LEFT - RIGHT) / max(len(labels), 1)
    wide = 0.8 * step / max(len(series), 1)
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "columns": [
            {
                "name": name,
                "x": round(LEFT + step * (group + 0.1) + wide * place, 1),
                "width": round(wide * 0.9, 1),
                "y": round(_y(value, top), 1),
                "height": round(HEIGHT - BOTTOM - _y(value, top), 1),
                "value": value,
                "label": labels[group],
            }
            for place, (name, values) in enumerate(series.items())
            for group, value in enumerate(values)
        ],
        "ticks": _ticks(top),
        "digits": _digits(top),
        "labels": [{"x": round(LEFT + step * (group + 0.5), 1), "text": text} for group, text in enumerate(labels)],
    }


def _drawn(line: Line, x: Any, top: float) -> dict[str, Any]:
    spots = [(round(x(at), 1), round(_y(mean, top), 1)) for at, mean, *_ in line.points]
    upper = [(round(x(at), 1), round(_y(high, top), 1)) for at, _, _, high, _ in line.points]
    lower = [(round(x(at), 1), round(_y(low, top), 1)) for at, _, low, _, _ in line.points]
    return {
        "name": line.name,
        "path": _path(spots),
        "band": _path(upper + lower[::-1]),
        "dots": [
            {
                "x": spot[0],
                "y": spot[1],
                "label": label,
                "mean": mean,
                "text": f"{label}: {mean:.4f} [{low:.4f}, {high:.4f}]",
            }
            for spot, (_, mean, low, high, label) in zip(spots, line.points, strict=True)
        ],
    }


def _apart(labels: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out labels that would touch the one before."""
    kept: list[dict[str, Any]] = []
    for label in labels:
        if not kept or label["x"] - kept[-1]["x"] >= LABEL_WIDTH:
            kept.append(label)
    return kept


def _scale(values: Sequence[float], first: float, last: float) -> Any:
    low, high = min(values, default=0.0), max(values, default=1.0)
    span = (high - low) or 1.0
    return lambda value: first + (last - first) * (value - low) / span


def _y(value: float, top: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top)


def _ticks(top: float) -> list[dict[str, Any]]:
    values = [top * number / TICKS for number in range(TICKS + 1)]
    return [{"y": round(_y(value, top), 1), "value": value} for value in values]


def _digits(top: float) -> int:
    """Return how many decimals tell the ticks of an axis apart."""
    return max(2, -math.floor(math.log10(top / TICKS)))


def _path(spots: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in spots)
