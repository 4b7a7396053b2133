"""KeptPlan: what the latest plan gave to whom, one array file per campaign beside the multipliers; KeptPlans: all."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import orjson
from sqlalchemy.engine import Connection

from recommender.coupons.decisions import DECISIONS, Decision
from recommender.coupons.eligibility import CodeMatrix
from recommender.coupons.fairness import Floors, floors_of
from recommender.coupons.offer_facts import OfferFacts
from recommender.coupons.pacing import Multipliers
from recommender.coupons.plan_files import PLANS, plan_path
from recommender.coupons.planning import OfferPlan
from recommender.coupons.scores import OfferScores
from recommender.errors import InputError
from recommender.events import member_subject
from recommender.ids import IdIndex
from recommender.storage.statements import fetch

logger = logging.getLogger(__name__)

SUFFIX = ".npz"
WHY_SUFFIX = ".why.npy"
FACTS = "offers."
_ERASED = "SELECT subject FROM erased_subjects"
FloatVector = npt.NDArray[np.float32]
_DOCUMENTS = ("multipliers", "floors", "plan_id", "why")
"""Parts of a kept plan that are JSON."""


@dataclass(frozen=True, slots=True)
class Decided:
    """An offer that a plan, or a decision between plans, gives to one member.

    profit_cents: expected incremental profit.  redemption: chance that it is redeemed.  propensity: chance with which
    it was given.  assumed: the profit was not learned from randomised sends.  reason: of a decision between plans.
    """

    offer_id: str
    campaign_id: str | None
    profit_cents: float
    redemption: float
    propensity: float
    assumed: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class KeptPlan:
    """Who was considered, and who got what.

    members: who was considered.  member_row, offer_row: int32, (m,), of coupons given, rising in member_row; offers as
    in the multipliers.  profit_cents, redemption, propensity: float32, (m,).  assumed: bool, (k,).
    facts: of the offers; None: no decisions between plans.
    floors: what decisions between plans for new members are held against.
    plan_id: of its row in `coupon_plans`; "" if it has none.
    why: the file with the reason of every member and offer, uint8, (n, k); read where it is asked for.
    """

    multipliers: Multipliers
    members: IdIndex
    member_row: npt.NDArray[np.int32]
    offer_row: npt.NDArray[np.int32]
    profit_cents: FloatVector
    redemption: FloatVector
    propensity: FloatVector
    assumed: npt.NDArray[np.bool_]
    facts: OfferFacts | None
    floors: Floors = field(default_factory=dict)
    plan_id: str = ""
    why: Path | None = None

    def reasons(self, member_id: str) -> list[Decision] | None:
        """Return why each offer was given to a member or not, in the order of the offers.

        None: the plan did not consider the member, or kept no reasons.
        """
        row = self.members.row(member_id)
        if row is None or self.why is None:
            return None
        try:
            codes = np.load(self.why, mmap_mode="r", allow_pickle=False)[row]
        except (OSError, ValueError, IndexError):
            return None
        return [DECISIONS[code] for code in codes.tolist()]

    def of(self, member_id: str) -> list[Decided] | None:
        """Return what a member was given; None if the plan did not consider them."""
        row = self.members.row(member_id)
        if row is None:
            return None
        first, last = np.searchsorted(self.member_row, (row, row + 1)).tolist()
        return [self._decided(place) for place in range(first, last)]

    def profits(self, member_ids: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the expected incremental profit of the best coupon of each of some members, 0 without one; (n,)."""
        best = np.zeros(len(self.members))
        np.maximum.at(best, self.member_row, self.profit_cents)
        rows, known = self.members.rows(member_ids)
        found = np.zeros(len(member_ids))
        found[known] = best[rows]
        return found

    def _decided(self, place: int) -> Decided:
        offer = int(self.offer_row[place])
        return Decided(
            self.multipliers.offer_id[offer],
            self.multipliers.campaign_id,
            float(self.profit_cents[place]),
            float(self.redemption[place]),
            float(self.propensity[place]),
            bool(self.assumed[offer]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Reasons:
    """Why each member was given each offer, or was not, uint8, (n, k); and the id under which the plan is logged."""

    plan_id: str
    codes: CodeMatrix


def keep_plan(
    home: Path,
    plan: OfferPlan,
    scores: OfferScores,
    multipliers: Multipliers,
    facts: OfferFacts | None = None,
    considered: IdIndex | None = None,
    reasons: Reasons | None = None,
) -> Path:
    """Keep what a plan gave to whom in place of the campaign's plan before; return the file.

    Args:
        facts: of the plan's offers; None: members whom it did not consider are offered nothing.
        considered: who was considered, those of the plan among them; None: nobody else.
        reasons: None: nobody can be told why.
    """
    everybody = scores.members if considered is None else considered
    given, offer = plan.explored.plan.member_row, plan.explored.plan.offer_row
    order = np.argsort(given, kind="stable")
    at = (given[order], offer[order])
    place = everybody.rows(scores.members.ids(at[0]))[0]
    path = plan_path(home, multipliers.campaign_id).with_suffix(SUFFIX)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    arrays: dict[str, Any] = {
        "multipliers": _as_bytes(multipliers.as_json()),
        "members": everybody.keys,
        "member_row": place.astype(np.int32),
        "offer_row": at[1].astype(np.int32),
        "profit_cents": scores.expected_profit_cents[at].astype(np.float32),
        "redemption": scores.redemption_probability[at].astype(np.float32),
        "propensity": plan.explored.propensity[order].astype(np.float32),
        "assumed": scores.assumed,
        "floors": _as_bytes([[sorted(open_to), cents] for open_to, cents in floors_of(plan.balance).items()]),
    }
    earlier = _why_files(path)
    if reasons is not None:
        why = path.with_name(f"{path.stem}.{secrets.token_hex(8)}{WHY_SUFFIX}")
        np.save(why, reasons.codes)
        arrays |= {"plan_id": _as_bytes(reasons.plan_id), "why": _as_bytes(why.name)}
    if facts is not None:
        arrays |= {f"{FACTS}{name}": column for name, column in facts.parts().items()}
    with part.open("wb") as file:
        np.savez(file, **arrays)
    part.replace(path)
    for outdated in earlier:
        outdated.unlink(missing_ok=True)
    return path


def _as_bytes(value: object) -> npt.NDArray[np.uint8]:
    return np.frombuffer(orjson.dumps(value), np.uint8)


def _why_files(path: Path) -> list[Path]:
    """Return the files of reasons that lie beside a kept plan."""
    return list(path.parent.glob(f"{path.stem}.*{WHY_SUFFIX}"))


def read_plan(path: Path) -> KeptPlan:
    """Read what keep_plan() has written. Raises: InputError if the file is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as parts:
            found = {name: parts[name] for name in parts.files}
        documents = {name: orjson.loads(found.pop(name).tobytes()) for name in _DOCUMENTS if name in found}
        members = IdIndex(found.pop("members"))
        told = {name.removeprefix(FACTS): found.pop(name) for name in list(found) if name.startswith(FACTS)}
        return KeptPlan(
            Multipliers.from_json(documents["multipliers"]),
            members,
            facts=OfferFacts.from_parts(told) if told else None,
            floors={frozenset(open_to): float(cents) for open_to, cents in documents.get("floors", ())},
            plan_id=documents.get("plan_id", ""),
            why=path.with_name(documents["why"]) if "why" in documents else None,
            **found,
        )
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise InputError("A kept plan cannot be read.", value=path.name) from error


def remove_plans_of_erased(connection: Connection, home: Path) -> int:
    """Remove the kept plans that name a member who was erased, and damaged ones; return how many were removed."""
    prefix = member_subject("")
    erased = [row[0].removeprefix(prefix) for row in fetch(connection, _ERASED) if row[0].startswith(prefix)]
    removed = 0
    for path in sorted((home / PLANS).glob(f"*{SUFFIX}")):
        plan = _or_none(path)
        if plan is None or plan.members.rows(erased)[1].any():
            for file in (path, *_why_files(path)):
                file.unlink(missing_ok=True)
            removed += 1
    return removed


class KeptPlans:
    """The kept plans of an installation, read again when one was replaced; safe to share between threads."""

    def __init__(self, home: Path) -> None:
        self._folder = home / PLANS
        self._read: dict[Path, tuple[tuple[int, int, int], KeptPlan | None]] = {}

    def current(self) -> Sequence[KeptPlan]:
        """Return all kept plans, those of campaigns first, then the newest first; damaged ones are logged once."""
        read: dict[Path, tuple[tuple[int, int, int], KeptPlan | None]] = {}
        for path in self._folder.glob(f"[!.]*{SUFFIX}"):
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            known = self._read.get(path)
            read[path] = known if known is not None and known[0] == stamp else (stamp, _or_none(path))
        self._read = read
        plans = [plan for _, plan in read.values() if plan is not None]
        return sorted(plans, key=lambda one: (one.multipliers.campaign_id is None, -one.multipliers.at.timestamp()))


def _or_none(path: Path) -> KeptPlan | None:
    try:
        return read_plan(path)
    except InputError as error:
        logger.error("plan_not_read file=%s reason=%s", path.name, error.message)
        return None
