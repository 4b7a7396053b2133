"""Scores the pairs in a file: members and offers, or members and campaigns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from recommender.bundle import Bundle
from recommender.errors import InputError
from training.offer_scores import OfferScorer, PairQuestion
from training.place import Place

RowVector = npt.NDArray[np.int32]
FloatVector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scored:
    """What was written: pairs in all, of unknown members, without a score (and why the first); assumed profits."""

    rows: int
    strangers: int
    unscored: int
    problem: str
    assumed: bool


def score_pairs(place: Place, bundle: Bundle, pairs: Path, at: datetime, outcome: str, out: Path) -> Scored:
    """Write the score of each pair of a file, in its order.

    The columns are those of the pair, then `score` (cents for profit, else a chance), for profit also `standard_error`
    and `assumed`. Offers that are unknown or cannot be used have no score; nothing is known of unknown members.

    Raises: InputError if a column is missing, or no pair at all can be scored.
    """
    frame = _read(pairs)
    scorer = OfferScorer(place, bundle, at)
    rows, known = scorer.members.rows(frame["member_id"].tolist())
    # Everybody unknown is the same stranger, whose row comes after all members.
    member_row = np.full(len(frame), len(scorer.members), np.int32)
    member_row[known] = rows
    by_campaign = "offer_id" not in frame.columns
    if by_campaign and outcome == "profit":
        raise InputError("Profit is scored by offer.", field="offer_id", accepted="a column offer_id")
    score, error, problem = (_campaigns if by_campaign else _offers)(scorer, frame, member_row, outcome)
    if len(frame) and not np.isfinite(score).any():
        raise InputError(f"No pair can be scored. {problem}", field="pairs", value=pairs)
    assumed = outcome == "profit" and scorer.models.profit.assumed
    frame["score"] = score
    if outcome == "profit":
        frame["standard_error"] = error
        frame["assumed"] = assumed
    frame.to_parquet(out, index=False) if out.suffix == ".parquet" else frame.to_csv(out, index=False)
    return Scored(len(frame), int((~known).sum()), int((~np.isfinite(score)).sum()), problem, assumed)


def _read(file: Path) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file, dtype=str)
    except (OSError, ValueError) as error:
        raise InputError(f"The file of pairs cannot be read: {error}.", field="pairs", value=file) from error
    names = [name for name in ("member_id", "offer_id", "campaign_id") if name in frame.columns]
    if "member_id" not in names or len(names) < 2:
        raise InputError(
            "The file of pairs lacks a column.",
            field="pairs",
            value=", ".join(map(str, frame.columns)),
            accepted="member_id and offer_id, or member_id and campaign_id",
        )
    if "offer_id" in names:
        names = ["member_id", "offer_id"]
    return frame[names].astype(str)


def _offers(
    scorer: OfferScorer, frame: pd.DataFrame, member_row: RowVector, outcome: str
) -> tuple[FloatVector, FloatVector, str]:
    """Return score and standard error of each pair, NaN where the offer has none, and why the first has none."""
    rows, wrong = scorer.history.shelf.rows, scorer.history.shelf.unusable
    named = frame["offer_id"].tolist()
    offer_row = np.array([rows.get(name, -1) for name in named], np.int32)
    known = offer_row >= 0
    score, error = np.full(len(frame), np.nan), np.full(len(frame), np.nan)
    found = scorer.pairs(PairQuestion(member_row[known], offer_row[known]))
    score[known] = found.profit_cents if outcome == "profit" else found.redemption
    error[known] = found.error_cents
    first = next((name for name, one in zip(named, known.tolist(), strict=True) if not one), None)
    return score, error, "" if first is None else wrong.get(first, f"There is no offer {first}.")


def _campaigns(
    scorer: OfferScorer, frame: pd.DataFrame, member_row: RowVector, outcome: str
) -> tuple[FloatVector, FloatVector, str]:
    """As _offers, for whole campaigns."""
    score, problem = np.full(len(frame), np.nan), ""
    names = frame["campaign_id"].to_numpy()
    for name in sorted(set(names)):
        mine = names == name
        try:
            score[mine] = scorer.campaign(name, member_row[mine])
        except InputError as error:
            problem = problem or str(error)
    return score, np.full(len(frame), np.nan), problem
