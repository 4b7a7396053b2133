"""Rate limits: a token bucket per key or member, in the memory of each worker process.

A process has its share of the limit, the whole divided by the number of worker processes, so the sum is right when
requests spread evenly and approximate otherwise. Several machines each allow the whole.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from api.auth import Caller
from api.problems import RATE_LIMITED, ProblemError

WINDOW_SECONDS = 10
"""A bucket holds this many seconds' worth of requests: that many can come at once."""
MOST_BUCKETS = 20_000
"""Beyond it, buckets that are full again are forgotten."""


@dataclass(slots=True)
class _Bucket:
    """What is left, in requests, at a time."""

    left: float
    at: float


@dataclass(frozen=True, slots=True)
class _Limit:
    """What one caller may do: rate in requests per second over all workers, share of it of this process."""

    policy: str
    name: str
    rate: float
    share: float
    capacity: float


class RateLimits:
    """Counts the requests of each caller; safe to share between threads.

    Args:
        key_rate: requests per second of an API key, over all workers; 0: no limit.
        member_rate: the same of a member token's member.
        workers: how many processes share a limit.
    """

    def __init__(self, key_rate: float, member_rate: float, workers: int) -> None:
        self._key_rate = key_rate
        self._member_rate = member_rate
        self._workers = workers
        self._lock = threading.Lock()
        self._buckets: dict[str, _Bucket] = {}

    def take(self, caller: Caller, now: float) -> Mapping[str, str]:
        """Count one request and return the headers that tell what is left; none where nothing limits.

        Args:
            now: a monotonic clock, in seconds.
        Raises: ProblemError, rate-limited, with Retry-After.
        """
        limit = self._limit(caller)
        if limit is None:
            return {}
        with self._lock:
            left = self._take(limit, now)
        headers = self._headers(limit, left)
        if left < 0:
            wait = max(1, math.ceil(-left / limit.share))
            detail = f"More than {limit.rate:g} requests per second; try again in {wait} s."
            raise ProblemError(RATE_LIMITED, detail, headers={**headers, "Retry-After": str(wait)})
        return headers

    def charge(self, caller: Caller, more: int, now: float) -> Mapping[str, str]:
        """Count what a request that was let in asks for beyond one, and return the headers as take() does.

        A batch is never refused for its size: what it takes too much, the requests after it wait for.

        Args:
            more: >= 0.
            now: a monotonic clock, in seconds.
        """
        limit = self._limit(caller)
        if limit is None:
            return {}
        with self._lock:
            bucket = self._bucket(limit, now)
            bucket.left -= more
            left = bucket.left
        return self._headers(limit, left)

    def _limit(self, caller: Caller) -> _Limit | None:
        own = self._key_rate if caller.rate_limit is None else caller.rate_limit
        rate = own if caller.member_id is None else self._member_rate
        if rate <= 0:
            return None
        policy = "key" if caller.member_id is None else "member"
        name = caller.key_id if caller.member_id is None else f"member:{caller.member_id}"
        share = rate / self._workers
        return _Limit(policy, name, rate, share, max(1.0, share * WINDOW_SECONDS))

    def _headers(self, limit: _Limit, left: float) -> dict[str, str]:
        whole = max(1, math.floor(limit.rate * WINDOW_SECONDS))
        return {
            "RateLimit-Policy": f'"{limit.policy}";q={whole};w={WINDOW_SECONDS}',
            "RateLimit": f'"{limit.policy}";r={max(0, math.floor(left * self._workers))};'
            f"t={math.ceil((limit.capacity - max(left, 0.0)) / limit.share)}",
        }

    def _take(self, limit: _Limit, now: float) -> float:
        """Return what is left after this request; below 0, with nothing taken, if it is one too many."""
        bucket = self._bucket(limit, now)
        left = bucket.left - 1.0
        if left >= 0:
            bucket.left = left
        return left

    def _bucket(self, limit: _Limit, now: float) -> _Bucket:
        """Return the bucket of a caller, filled up to now."""
        bucket = self._buckets.get(limit.name)
        if bucket is None:
            if len(self._buckets) >= MOST_BUCKETS:
                self._forget(now)
            bucket = self._buckets[limit.name] = _Bucket(limit.capacity, now)
        bucket.left = min(limit.capacity, bucket.left + (now - bucket.at) * limit.share)
        bucket.at = now
        return bucket

    def _forget(self, now: float) -> None:
        kept = {
            name: bucket
            for name, bucket in self._buckets.items()
            if now - bucket.at < WINDOW_SECONDS or bucket.left < 0
        }
        # More callers than that within one window: begin anew rather than grow without end.
        self._buckets = kept if len(kept) < MOST_BUCKETS else {}
