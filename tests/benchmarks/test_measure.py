"""Measurements from outside: what a run takes, and how results are judged and laid out."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.benchmarks.measure import MIB, FailedRunError, private_bytes, run_measured
from tests.benchmarks.results import Result, at_least, at_most, growth


def test_a_run_is_measured(tmp_path: Path) -> None:
    ballast = bytes(64 * MIB)
    program = "import time; held = bytearray(b'x') * (32 << 20); time.sleep(0.1); print(len(held))"
    run = run_measured([sys.executable, "-S", "-c", program], {}, tmp_path)
    assert run.output == f"{32 << 20}\n"
    assert run.seconds >= 0.1
    assert 32 * MIB < run.peak_bytes < 32 * MIB + len(ballast)


def test_memory_of_forked_processes_counts(tmp_path: Path) -> None:
    program = (
        "import os, time\n"
        "pid = os.fork()\n"
        "held = bytearray(b'x') * (48 << 20)\n"
        "time.sleep(0.6)\n"
        "pid and os.waitpid(pid, 0)"
    )
    assert run_measured([sys.executable, "-S", "-c", program], {}, tmp_path).peak_bytes > 96 * MIB


def test_a_failed_run_shows_what_it_printed(tmp_path: Path) -> None:
    with pytest.raises(FailedRunError, match="no such thing"):
        run_measured([sys.executable, "-S", "-c", "raise SystemExit('no such thing')"], {}, tmp_path)


def test_private_memory_of_this_process_is_read() -> None:
    assert private_bytes(os.getpid()) > MIB


def test_growth_is_the_exponent_between_the_ends() -> None:
    assert growth([1, 10, 100], [2, 50, 200]) == pytest.approx(1.0)
    assert growth([1, 4], [3, 6]) == pytest.approx(0.5)


def test_results_say_what_was_met() -> None:
    text = Result("x", [{"events": 1000, "s": 0.1234}], [at_least("speed", 0.3, 0.2), at_most("size", 9, 8)]).as_text()
    assert "|  1,000 | 0.123 |" in text
    assert [line.split("|")[-2].strip() for line in text.splitlines() if "at " in line] == ["yes", "no"]
