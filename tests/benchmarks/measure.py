"""Runs one program to its end and measures it from outside: time, processor time, most memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

POLL_SECONDS = 0.005
POLLS_PER_LOOK = 40
"""How often the memory of a program's own processes is added up, which takes longer than reading one number."""
MIB = 1024 * 1024


class FailedRunError(click.ClickException):
    """A measured program failed; the message holds the end of what it printed."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run took: wall and processor seconds, most bytes resident at once; and what it printed."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str


def memberwise(*arguments: str) -> list[str]:
    """Return the command line of `memberwise` in this environment."""
    return [sys.executable, "-c", "from recommender.cli import main; main()", *arguments]


def module(name: str, *arguments: str) -> list[str]:
    """Return the command line of a module of this package."""
    return [sys.executable, "-m", f"tests.benchmarks.{name}", *arguments]


def run_measured(command: Sequence[str], environ: Mapping[str, str], workspace: Path) -> Run:
    """Run a program to its end.

    The peak is the process's own mark of high water, or more where processes that it forked hold memory of their
    own. (What a parent gets from wait4 is no less than the parent's own size.)

    Args:
        command: program and arguments.
        environ: set beside the environment of this process.
        workspace: where its outputs are kept meanwhile.
    Raises: FailedRunError if its exit code is not 0.
    """
    out, problems = workspace / "stdout", workspace / "stderr"
    with out.open("wb") as stdout, problems.open("wb") as stderr:
        began = time.perf_counter()
        process = subprocess.Popen(command, env={**os.environ, **environ}, stdout=stdout, stderr=stderr)
        peak = polls = 0
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            peak = max(peak, _status_bytes(process.pid, "VmHWM:"))
            polls += 1
            if polls % POLLS_PER_LOOK == 0:
                peak = max(peak, _tree_bytes(process.pid))
            time.sleep(POLL_SECONDS)
        seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise FailedRunError(f"{' '.join(command[:6])}: exit code {process.returncode}\n{problems.read_text()[-2000:]}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, peak, out.read_text("utf-8"))


def _status_bytes(pid: int, name: str) -> int:
    """Return one number of a process's status, in bytes; 0 if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    line = next((line for line in status.splitlines() if line.startswith(name)), f"{name} 0 kB")
    return int(line.split()[1]) * 1024


def _tree_bytes(pid: int) -> int:
    """Return what a process holds resident, and its children beside it; 0 if one of them is gone meanwhile."""
    try:
        return _status_bytes(pid, "VmRSS:") + sum(private_bytes(child) for child in children(pid))
    except (FileNotFoundError, ProcessLookupError):
        return 0


def private_bytes(pid: int) -> int:
    """Return the memory that belongs to one process alone, in bytes."""
    return _rollup_bytes(pid, ("Private_Clean:", "Private_Dirty:", "Private_Hugetlb:"))


def proportional_bytes(pid: int) -> int:
    """Return the memory of one process, in bytes, what it shares divided among those that share it."""
    return _rollup_bytes(pid, ("Pss:",))


def _rollup_bytes(pid: int, wanted: tuple[str, ...]) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(wanted))


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has taken so far, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """Return the processes that a process started and that still run."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]
