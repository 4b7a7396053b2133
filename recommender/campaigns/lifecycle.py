"""The life of a campaign as a table: which action leads from which state to which, and why others are refused."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from recommender.errors import ConflictError


class Status(StrEnum):
    """Where a campaign is in its life."""

    DRAFT = "draft"
    PLANNED = "planned"
    APPROVED = "approved"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class Action(StrEnum):
    """What moves a campaign. PLAN asks for a plan; PLANNED, START and FINISH are the worker's."""

    CREATE = "create"
    EDIT = "edit"
    PLAN = "plan"
    PLANNED = "planned"
    APPROVE = "approve"
    LAUNCH = "launch"
    UNDO = "undo"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    FINISH = "finish"
    CANCEL = "cancel"
    BUDGET = "budget"


_S = Status
_BEFORE_LAUNCH = (_S.DRAFT, _S.PLANNED, _S.APPROVED)
_ALIVE = (*_BEFORE_LAUNCH, _S.SCHEDULED, _S.RUNNING, _S.PAUSED)
TRANSITIONS: Mapping[Action, Mapping[Status, Status]] = {
    Action.EDIT: dict.fromkeys(_BEFORE_LAUNCH, _S.DRAFT),
    Action.PLAN: dict.fromkeys(_BEFORE_LAUNCH, _S.DRAFT),
    Action.PLANNED: dict.fromkeys(_BEFORE_LAUNCH, _S.PLANNED),
    Action.APPROVE: {_S.PLANNED: _S.APPROVED},
    Action.LAUNCH: {_S.PLANNED: _S.SCHEDULED, _S.APPROVED: _S.SCHEDULED},
    Action.UNDO: {_S.SCHEDULED: _S.APPROVED},
    Action.START: {_S.SCHEDULED: _S.RUNNING},
    Action.PAUSE: {_S.RUNNING: _S.PAUSED},
    Action.RESUME: {_S.PAUSED: _S.RUNNING},
    Action.FINISH: {_S.SCHEDULED: _S.FINISHED, _S.RUNNING: _S.FINISHED, _S.PAUSED: _S.FINISHED},
    Action.CANCEL: dict.fromkeys(_ALIVE, _S.CANCELLED),
    Action.BUDGET: {status: status for status in _ALIVE},
}
"""By action: where each state leads. A plan without need of approval is launched as it is (see the store)."""

_WHY = {
    Status.DRAFT: "It has no plan yet.",
    Status.PLANNED: "Its plan waits for approval.",
    Status.APPROVED: "It is approved and was not launched yet.",
    Status.SCHEDULED: "It was launched and starts when the time to undo is over.",
    Status.RUNNING: "It is running.",
    Status.PAUSED: "It is paused.",
    Status.FINISHED: "It is over.",
    Status.CANCELLED: "It was cancelled.",
}


def after(action: Action, status: Status) -> Status:
    """Return where an action leads. Raises: ConflictError that says why it is refused and what would be possible."""
    found = TRANSITIONS[action].get(status)
    if found is None:
        possible = ", ".join(one for one in TRANSITIONS[action]) or "none"
        raise ConflictError(
            f"A campaign that is {status} cannot take this step ({action}). {_WHY[status]}",
            field="status",
            value=status,
            accepted=possible,
        )
    return found


def possible(status: Status) -> tuple[Action, ...]:
    """Return the actions that a state allows."""
    return tuple(action for action, moves in TRANSITIONS.items() if status in moves)
