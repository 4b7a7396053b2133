"""Where charts put their lines and columns."""

from __future__ import annotations

import pytest

from training.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Line, column_chart, line_chart


def test_a_line_goes_from_side_to_side_and_the_band_around_it() -> None:
    chart = line_chart([Line("all", [(0, 0.5, 0.25, 1.0, "0"), (1, 1.0, 0.5, 2.0, "7")])])
    floor, middle = HEIGHT - BOTTOM, (TOP + HEIGHT - BOTTOM) / 2
    (line,) = chart["lines"]
    assert line["path"].split() == [f"{LEFT:.1f},{floor - (floor - TOP) / 4}", f"{WIDTH - RIGHT:.1f},{middle}"]
    assert line["band"].split()[1] == f"{WIDTH - RIGHT:.1f},{TOP:.1f}"
    assert len(line["band"].split()) == 4
    assert [tick["value"] for tick in chart["ticks"]] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert [label["text"] for label in chart["labels"]] == ["0", "7"]


def test_a_single_point_and_nothing_at_all() -> None:
    assert line_chart([Line("all", [(3, 0.0, 0.0, 0.0, "x")])])["lines"][0]["dots"][0]["y"] == HEIGHT - BOTTOM
    assert line_chart([Line("all", [])])["labels"] == []
    assert column_chart({}, [])["columns"] == []


def test_labels_that_would_touch_are_left_out() -> None:
    chart = line_chart([Line("all", [(at, 0.5, 0.4, 0.6, str(at)) for at in (0.0, 0.01, 0.5, 1.0)])])
    assert [label["text"] for label in chart["labels"]] == ["0.0", "0.5", "1.0"]


def test_columns_stand_side_by_side_on_the_floor() -> None:
    chart = column_chart({"one": [0.2, 0.4], "two": [0.1, 0.0]}, ["a", "b"])
    first, second, third, fourth = chart["columns"]
    assert [part["name"] for part in chart["columns"]] == ["one", "one", "two", "two"]
    assert second["height"] == pytest.approx(HEIGHT - BOTTOM - TOP)
    assert first["x"] < third["x"] < second["x"] < fourth["x"]
    assert all(part["y"] + part["height"] == pytest.approx(HEIGHT - BOTTOM) for part in chart["columns"])


def test_ticks_of_small_shares_are_told_apart() -> None:
    assert column_chart({"one": [0.4]}, ["a"])["digits"] == 2
    assert column_chart({"one": [0.0238]}, ["a"])["digits"] == 3
    assert column_chart({"one": [0.001]}, ["a"])["digits"] == 4
