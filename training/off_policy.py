"""Off-policy estimates: what slates of another policy would have earned, from logs with known chances.

The model is that of single positions: what comes of an item shown depends on the customer, the item and the position,
not on the other items. A policy's worth is its reward per item shown. Everything here is arithmetic on arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntVector = npt.NDArray[np.int64]
FloatVector = npt.NDArray[np.float64]
FloatMatrix = npt.NDArray[np.float64]

ROUNDS = 1000
FOLDS = 5
PRIOR_ITEMS = 20.0
"""Items shown that an item's own effect must outweigh in the reward model."""
NO_ITEM = -1
"""Stands for a position that the evaluated policy leaves empty."""
_ROUNDS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class LoggedItems:
    """Items that were shown, and what the evaluated policy would have shown in their place; all (n,).

    customer: number of whom the item was shown to, from 0; customers are independent of one another.
    position: from 1.  item, target: numbers of items, from 0; target NO_ITEM for none.
    chance: of the item to stand at its position when it was shown, > 0.  reward: what came of it.
    """

    customer: IntVector
    position: IntVector
    item: IntVector
    target: IntVector
    chance: FloatVector
    reward: FloatVector


@dataclass(frozen=True, slots=True)
class Bounds:
    """A figure with its 95 % bootstrap interval over customers."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class OffPolicy:
    """What a policy would have earned per item shown, against what was earned.

    logged: what was earned.  ips, snips, dr: three estimates of the policy's.  gain: dr less logged.
    mean_weight: 1 where the log could show everything that the policy would; less where it could not.
    matched: part of items shown at which the policy agrees.
    effective_items: as many items shown by the policy itself would say as much (Kish, 1965).
    largest_weight, clipped: the largest weight, and how many were cut down to the limit.
    """

    items: int
    customers: int
    logged: Bounds
    ips: Bounds
    snips: Bounds
    dr: Bounds
    gain: Bounds
    mean_weight: Bounds
    matched: float
    effective_items: float
    largest_weight: float
    clipped: int


def estimate(log: LoggedItems, rng: np.random.Generator, clip: float = 0.0, rounds: int = ROUNDS) -> OffPolicy:
    """Estimate the worth of a policy by inverse propensities, their self-normalised form, and doubly robust.

    Args:
        log: at least one item.
        rng: of the bootstrap and of the folds of the reward model.
        clip: largest weight; larger ones are cut down to it, which makes the estimates smaller than the truth but
            steadier. 0 leaves them, since the chances of exploration bound them anyway.
        rounds: of the bootstrap over customers.
    Source: Horvitz and Thompson (1952) for IPS; Swaminathan and Joachims (2015), "The self-normalized estimator for
        counterfactual learning"; Dudik, Langford and Li (2011), "Doubly robust policy evaluation and learning"; per
        position as the item-position model of Li et al. (2018), "Offline evaluation of ranking policies with click
        models"; clipping after Ionides (2008), "Truncated importance sampling".
    """
    match = log.item == log.target
    full = np.where(match, 1.0 / log.chance, 0.0)
    weight = np.minimum(full, clip) if clip > 0 else full
    shown, wanted = reward_model(log, rng)
    columns = np.stack(
        (
            np.ones(len(log.item)),
            log.reward,
            weight * log.reward,
            weight,
            wanted + weight * (log.reward - shown),
        ),
        axis=1,
    )
    size = int(log.customer.max()) + 1
    sums = np.stack([np.bincount(log.customer, column, size).astype(np.float64) for column in columns.T], axis=1)
    drawn = _resampled(sums, rng, rounds)
    whole = _figures(sums.sum(axis=0, keepdims=True))[0]
    low, high = np.nanquantile(_figures(drawn), (0.025, 0.975), axis=0)
    logged, ips, snips, dr, gain, mean_weight = (
        Bounds(float(a), float(b), float(c)) for a, b, c in zip(whole, low, high, strict=True)
    )
    squares = float((weight**2).sum())
    return OffPolicy(
        items=len(log.item),
        customers=len(np.unique(log.customer)),
        logged=logged,
        ips=ips,
        snips=snips,
        dr=dr,
        gain=gain,
        mean_weight=mean_weight,
        matched=float(match.mean()),
        effective_items=float(weight.sum()) ** 2 / squares if squares else 0.0,
        largest_weight=float(weight.max()),
        clipped=int((full > weight).sum()),
    )


def reward_model(log: LoggedItems, rng: np.random.Generator) -> tuple[FloatVector, FloatVector]:
    """Predict the reward of what was shown and of what the policy would show, from other customers only.

    A position's mean reward times an item's own effect, which leans towards 1. Customers are split into folds; each
    is predicted from the others, so that no reward predicts itself.

    Returns: float64, (n,), of `item` and of `target`; 0 where there is no target.
    """
    fold = rng.integers(0, FOLDS, int(log.customer.max()) + 1)[log.customer]
    positions, items = int(log.position.max()) + 1, max(int(log.item.max()), int(log.target.max())) + 1
    shown, wanted = np.zeros(len(log.item)), np.zeros(len(log.item))
    for number in range(FOLDS):
        inside, others = fold == number, fold != number
        if not inside.any():
            continue
        reward, position, item = log.reward[others], log.position[others], log.item[others]
        mean = float(reward.mean()) if len(reward) else 0.0
        count = np.bincount(position, minlength=positions)
        at = (np.bincount(position, reward, positions) + PRIOR_ITEMS * mean) / (count + PRIOR_ITEMS)
        expected = np.bincount(item, at[position], items) + PRIOR_ITEMS * mean
        found = np.bincount(item, reward, items) + PRIOR_ITEMS * mean
        effect = np.divide(found, expected, out=np.ones(items), where=expected > 0)
        shown[inside] = at[log.position[inside]] * effect[log.item[inside]]
        target = log.target[inside]
        wanted[inside] = np.where(target == NO_ITEM, 0.0, at[log.position[inside]] * effect[target])
    return shown, wanted


def _figures(sums: FloatMatrix) -> FloatMatrix:
    """Return logged, IPS, SNIPS, DR, gain and mean weight of each row of sums, float64, (rows, 6)."""
    items, reward, weighted, weight, robust = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        logged, dr = reward / items, robust / items
        return np.stack((logged, weighted / items, weighted / weight, dr, dr - logged, weight / items), axis=1)


def _resampled(sums: FloatMatrix, rng: np.random.Generator, rounds: int) -> FloatMatrix:
    """Return the sums over customers drawn again, float64, (rounds, columns).

    Each customer is drawn a Poisson(1) number of times, which for many customers is the bootstrap.

    Source: Chamandy et al. (2012), "Estimating uncertainty for massive data streams".
    """
    parts = []
    for start in range(0, rounds, _ROUNDS_AT_ONCE):
        times = rng.poisson(1.0, (min(_ROUNDS_AT_ONCE, rounds - start), len(sums)))
        parts.append(times @ sums)
    return np.concatenate(parts)
