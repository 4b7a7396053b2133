"""Views in DuckDB that figures across channels are read from: purchases with who, where and in what kind of channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from recommender.campaigns.bought import MICROS_PER_DAY, Goods, put_lines
from recommender.campaigns.events_said import put_said
from recommender.campaigns.kpi_texts import RETURN_DAYS, WINDOW_DAYS, GroupBy
from recommender.columns import LEARNED_KINDS
from recommender.events import BROWSING_KINDS, member_subject
from recommender.kept_sources import Sources
from recommender.quoting import text, texts

KEYS = {GroupBy.ALL: "''", GroupBy.STORE: "store_id", GroupBy.REGION: "region", GroupBy.CHANNEL: "channel"}


@dataclass(frozen=True, slots=True)
class Selection:
    """What a report is about: start <= t < end, in microseconds; None: any.

    group_by: by what figures are told apart.  offset: what to add to UTC to make the retailer's days, microseconds.
    """

    start: int
    end: int
    group_by: GroupBy = GroupBy.ALL
    store_id: str | None = None
    region: str | None = None
    channel: str | None = None
    offset: int = 0

    @property
    def narrow(self) -> bool:
        """Whether only some places are meant, or they are told apart."""
        return self.group_by is not GroupBy.ALL or any((self.store_id, self.region, self.channel))

    def places(self) -> str:
        """Return the SQL condition on store_id, region and channel."""
        named = (("store_id", self.store_id), ("region", self.region), ("channel", self.channel))
        return " AND ".join(["TRUE", *(f"{name} = {text(value)}" for name, value in named if value is not None)])


def put_views(
    engine: duckdb.DuckDBPyConnection,
    sources: Sources,
    goods: Sequence[Goods],
    margin_share: float,
    regions: Mapping[str, str],
    channels: Mapping[str, str],
    selection: Selection,
) -> None:
    """Make the tables: `buys` (all purchases; person NULL: not known), `chosen` and `earlier` (those of the selection,
    in the period and in the one before it, which is as long), `views` (what was looked at online), `said` (events with
    what `kept` leaves out).

    Args:
        engine: holds `kept`.  regions: by store.  channels: online or offline, by channel.
    """
    put_lines(engine, goods, margin_share)
    _put(engine, "regions", store_id=list(regions), region=list(regions.values()))
    _put(engine, "channels", channel=list(channels), place=list(channels.values()))
    people = {subject: member_subject(member) for subject, member in sources.links.items()}
    barred = {member_subject(member) for member, kind in sources.kinds.items() if kind not in LEARNED_KINDS}
    _put(engine, "people", subject=list(people), owner=list(people.values()))
    _put(engine, "barred", person=sorted(barred))
    put_said(engine, sources)
    key = KEYS[selection.group_by]
    engine.execute(
        f"""
        CREATE TABLE buys AS
        WITH owned AS (
          SELECT l.*, coalesce(o.owner, l.subject) AS owner FROM lines l LEFT JOIN people o USING (subject))
        SELECT l.event_id, CASE WHEN l.owner IN (SELECT person FROM barred) THEN NULL ELSE l.owner END AS person,
          l.item_id, l.store_id, l.channel, coalesce(r.region, '') AS region, coalesce(c.place, 'offline') AS place,
          l.micros, l.order_id, l.paid, l.margin, l.discounted
        FROM owned l LEFT JOIN regions r USING (store_id) LEFT JOIN channels c USING (channel)
        WHERE l.micros < {selection.end};
        CREATE TABLE chosen AS SELECT *, {key} AS g FROM buys
        WHERE micros >= {selection.start} AND {selection.places()};
        CREATE TABLE earlier AS SELECT DISTINCT person, {key} AS g FROM buys
        WHERE micros >= {2 * selection.start - selection.end} AND micros < {selection.start}
          AND person IS NOT NULL AND {selection.places()};
        CREATE TABLE views AS
        SELECT DISTINCT coalesce(o.owner, k.subject) AS person, k.item_id, k.micros
        FROM kept k LEFT JOIN people o USING (subject) JOIN channels c USING (channel)
        WHERE k.kind IN ({texts(str(kind) for kind in BROWSING_KINDS)}) AND c.place = 'online' AND k.subject IS NOT NULL
          AND k.micros >= {selection.start} AND k.micros < {selection.end}
          AND coalesce(o.owner, k.subject) NOT IN (SELECT person FROM barred)
        """
    )


def _put(engine: duckdb.DuckDBPyConnection, table: str, **columns: list[str]) -> None:
    engine.register(table, pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}))


PEOPLE = "count(DISTINCT person)"

FIGURES_SQL: Mapping[str, str] = {
    "sales": "SELECT g, sum(paid), count(DISTINCT order_id) FROM chosen GROUP BY g",
    "known_sales": "SELECT g, coalesce(sum(paid) FILTER (person IS NOT NULL), 0), sum(paid) FROM chosen GROUP BY g",
    "customers": f"SELECT g, {PEOPLE}, NULL FROM chosen GROUP BY g",
    "online_sales": "SELECT g, coalesce(sum(paid) FILTER (place = 'online'), 0), sum(paid) FROM chosen GROUP BY g",
    "omnichannel_customers": f"""
        SELECT g, {PEOPLE} FILTER (person IN (SELECT person FROM both_ways)), {PEOPLE} FROM chosen GROUP BY g""",
    "omnichannel_sales": """
        SELECT g, coalesce(sum(paid) FILTER (person IN (SELECT person FROM both_ways)), 0), sum(paid) FROM chosen
        WHERE person IS NOT NULL GROUP BY g""",
    "browse_to_store": f"""
        SELECT g, {PEOPLE}, (SELECT {PEOPLE} FROM views) FROM browsed_before GROUP BY g""",
    "browsed_store_sales": """
        SELECT s.g, coalesce(b.paid, 0), s.paid FROM
        (SELECT g, sum(paid) AS paid FROM chosen WHERE place = 'offline' GROUP BY g) s
        LEFT JOIN (SELECT g, sum(paid) AS paid FROM browsed_before GROUP BY g) b USING (g)""",
    "store_to_online": f"""
        SELECT s.g, coalesce(b.people, 0), s.people FROM
        (SELECT g, {PEOPLE} AS people FROM chosen WHERE place = 'offline' GROUP BY g) s
        LEFT JOIN (SELECT g, {PEOPLE} AS people FROM came_back GROUP BY g) b USING (g)""",
    "repurchase": """
        SELECT g, count(*) FILTER (orders > 1), count(*) FROM
        (SELECT g, person, count(DISTINCT order_id) AS orders FROM chosen WHERE person IS NOT NULL GROUP BY g, person)
        GROUP BY g""",
    "retention": """
        SELECT e.g, count(DISTINCT c.person), count(DISTINCT e.person) FROM earlier e
        LEFT JOIN chosen c ON c.g = e.g AND c.person = e.person GROUP BY e.g""",
}
"""Of each figure the SQL of its groups, of what is counted, and of what it is a share of (or stands on)."""


def put_ways(engine: duckdb.DuckDBPyConnection, selection: Selection) -> None:
    """Make the tables of ways between channels: `both_ways`, `browsed_before`, `came_back`."""
    window, back = WINDOW_DAYS * MICROS_PER_DAY, RETURN_DAYS * MICROS_PER_DAY
    engine.execute(
        f"""
        CREATE TABLE both_ways AS SELECT person FROM buys
        WHERE micros >= {selection.start} AND person IS NOT NULL GROUP BY person
        HAVING count(DISTINCT place) > 1;
        CREATE TABLE browsed_before AS
        SELECT c.g, c.person, c.paid FROM (SELECT * FROM chosen WHERE place = 'offline' AND person IS NOT NULL) c
        ASOF JOIN views v ON c.person = v.person AND c.item_id = v.item_id AND c.micros >= v.micros
        WHERE c.micros < v.micros + {window};
        CREATE TABLE came_back AS
        SELECT s.g, s.person FROM (SELECT * FROM chosen WHERE place = 'offline' AND person IS NOT NULL) s
        ASOF JOIN (SELECT person, micros FROM buys WHERE place = 'online' AND discounted AND micros >= {selection.start}
          AND person IS NOT NULL) o ON s.person = o.person AND s.micros <= o.micros
        WHERE o.micros < s.micros + {back}
        """
    )
