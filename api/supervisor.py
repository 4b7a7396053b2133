"""Runs the web service and the background worker side by side on one machine: `memberwise serve
--with-worker`.

The supervisor is a small process of its own. It starts the worker again when it ends, ends with the service,
and passes the signal to stop on to both; both end when it is killed.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

logger = logging.getLogger(__name__)

RESTART_SECONDS = 5.0
"""Least time between two starts of the worker."""
POLL_SECONDS = 0.2
_PR_SET_PDEATHSIG = 1
_CHILD = "from api.supervisor import end_with_parent; end_with_parent(); from recommender.cli import main; main()"


def supervise(serve: Sequence[str], worker: Sequence[str], environ: Mapping[str, str], stop_seconds: float) -> int:
    """Run both commands until the service ends or a signal says stop.

    Args:
        serve, worker: words behind `memberwise`.
        environ: the children's environment.
        stop_seconds: how long children may take to stop before they are killed.
    Returns: the exit code of the service; 0 after a signal.
    """
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: told.append(received))
    service, helper = start_child(serve, environ), start_child(worker, environ)
    started = time.monotonic()
    while not told and service.poll() is None:
        time.sleep(POLL_SECONDS)
        if helper.poll() is not None and time.monotonic() - started >= RESTART_SECONDS:
            logger.error("worker_ended code=%s: starting it again", helper.returncode)
            helper, started = start_child(worker, environ), time.monotonic()
    stop_children((service, helper), stop_seconds)
    return 0 if told else int(service.returncode)


def end_with_parent() -> None:
    """Have this process told to stop when its parent ends (Linux; elsewhere nothing happens)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def start_child(words: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a command of ours that ends with this process.

    Args:
        words: behind `memberwise`.
    """
    # A session of its own: an interrupt typed at the terminal reaches the supervisor only, which then stops
    # both.
    return subprocess.Popen([sys.executable, "-c", _CHILD, *words], env=dict(environ), start_new_session=True)


def stop_children(children: Sequence[subprocess.Popen[bytes]], seconds: float) -> None:
    """Tell commands to stop, and kill those that take longer than some seconds."""
    for child in children:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + seconds
    for child in children:
        try:
            child.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
