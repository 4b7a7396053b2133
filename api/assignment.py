"""Assignment: which group of an experiment a request belongs to, and what therefore answers it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from api.services import Call, Services
from api.serving import Serving
from recommender.errors import StoreBusyError
from recommender.events import MEMBER_NAMESPACE, member_subject, subject_key
from recommender.experiments import Group, Unit
from recommender.request import SlateRequest
from recommender.storage.database import Database
from recommender.storage.experiment_report import FALLBACK
from recommender.storage.identities import resolve
from recommender.storage.live import LiveView
from recommender.storage.members import read_member

HOUSEHOLD_NAMESPACE = "household"


@dataclass(frozen=True, slots=True)
class Assignment:
    """What answers a request, and as part of which experiment.

    serving, request: to be used in place of those that would answer outside of the experiment.
    unit: the salted hash that decided.  flags: FALLBACK if the group's bundle is not served, so that the promoted one
    answers.
    """

    serving: Serving
    request: SlateRequest
    experiment: str
    group: Group
    unit: int
    flags: tuple[str, ...]

    def body(self) -> dict[str, object]:
        """Return what the answer says of it."""
        return {"name": self.experiment, "group": self.group.value}


def assign(services: Services, call: Call, serving: Serving, request: SlateRequest) -> Assignment | None:
    """Return the assignment of a request; None without an experiment, a known customer, or a part in it.

    One quick read is needed where the customer is named by an identity, or households are assigned. While the database
    is away nobody new takes part.
    """
    running = serving.live.current(call.now).experiment(request.scenario)
    if running is None or request.subject is None:
        return None
    experiment = running.experiment
    try:
        number = experiment.number(_unit(services.database, request.subject, experiment.unit, call))
    except StoreBusyError:
        return None
    group = experiment.group(number)
    if group is None:
        return None
    bundle_id, flags = experiment.arm(group).bundle_id, ()
    chosen: Serving | None = serving if bundle_id is None else services.serving.serving_of(bundle_id)
    if chosen is None:
        # Counted in its group all the same: leaving it out would make the groups differ in more than what they get.
        return Assignment(serving, request, experiment.name, group, number, (FALLBACK,))
    placement = running.placements[group]
    asked = request if placement is None or request.placement is not None else replace(request, placement=placement)
    return Assignment(chosen, asked, experiment.name, group, number, flags)


def bundles_of(live: LiveView) -> frozenset[str]:
    """Return the bundles that running experiments need."""
    arms = [running.experiment.arm(group) for running in live.experiments.values() for group in Group]
    return frozenset(arm.bundle_id for arm in arms if arm.bundle_id is not None)


def _unit(database: Database, subject: str, unit: Unit, call: Call) -> str:
    """Return what a customer is assigned by: the household where it is known and asked for, the member, or else the
    identity.
    """
    namespace, _, value = subject.partition(":")
    if unit is Unit.MEMBER and namespace == MEMBER_NAMESPACE:
        return subject
    with database.read() as connection:
        return _read_unit(connection, namespace, value, unit, call)


def _read_unit(connection: Connection, namespace: str, value: str, unit: Unit, call: Call) -> str:
    member_id = resolve(connection, namespace, value).member_id
    if member_id is None:
        return subject_key(namespace, value)
    if unit is Unit.HOUSEHOLD:
        member = read_member(connection, member_id, call.now)
        if member is not None and member.household_id is not None:
            return subject_key(HOUSEHOLD_NAMESPACE, member.household_id)
    return member_subject(member_id)
