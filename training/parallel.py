"""Independent parts of one piece of work on all cores, in processes forked from this one."""

from __future__ import annotations

import ctypes
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")

_inherited: list[tuple[Callable[[Any], Any], Sequence[Any]]] = []
"""What forked processes find: too large to be sent to them."""


def in_parallel(
    work: Callable[[Part], Result], parts: Sequence[Part], processes: int, always: bool = False
) -> Iterator[Result]:
    """Yield work(part) for each part, in order.

    The forked processes share this one's memory as it is now; only results are sent, so they should be small.
    The work runs on one thread.

    Args:
        work: pure.
        parts: what to work on.
        processes: how many parts at once; with 1 everything happens here.
        always: fork also for one process or part, for work that starts threads (see apart).
    """
    if not always and (processes <= 1 or len(parts) <= 1):
        yield from map(work, parts)
    else:
        yield from _forked(work, parts, processes)


def _forked(work: Callable[[Part], Result], parts: Sequence[Part], processes: int) -> Iterator[Result]:
    _inherited.append((work, parts))
    try:
        fork = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(min(processes, len(parts)), fork, initializer=_keep_to_one_thread) as pool:
            yield from pool.map(_do_inherited, range(len(parts)))
    finally:
        _inherited.pop()


def apart(work: Callable[[], Result]) -> Result:
    """Return work(), done in a process forked for it.

    OpenMP's threads do not survive a fork, and a forked process that needs them again waits for ever. So libraries
    that start them (implicit, LightGBM's training) run apart, and this process can be forked at any time.
    """
    return next(_forked(lambda _: work(), [None], 1))


def _keep_to_one_thread() -> None:
    """Keep LightGBM from waiting for threads of the process that this one was forked from: only this one lives on.

    Reading trees is the one thing that LightGBM does with as many threads as it last trained with.
    """
    if "lightgbm" in sys.modules:
        from lightgbm.basic import _LIB

        _LIB.LGBM_SetMaxThreads(ctypes.c_int(1))


def _do_inherited(number: int) -> Any:
    work, parts = _inherited[-1]
    return work(parts[number])
