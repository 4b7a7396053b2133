"""DuckDB expressions for EAN-13 codes that scales print: item and weight or price in one number."""

from __future__ import annotations

from collections.abc import Mapping

from recommender.quoting import text
from training.sources.cells import Cell
from training.sources.duck import name
from training.sources.mapping import Context, ScaleBarcode


def scale_layer(inner: str, scale: ScaleBarcode, cells: Mapping[str, Cell], context: Context) -> str:
    """Put item and quantity of scale barcodes in place of what the columns say, in rows that have one.

    Args:
        inner: query with the texts of columns, `t_item_id` and `t_quantity` among them.
    """
    code = name(f"k_{scale.column}")
    fits = _is_scale(code, scale)
    item = f"{text(scale.item_prefix)} || {_part(code, scale.item)}"
    amount = _decimal(code, scale)
    if scale.kind == "price":
        amount = _quantity_by_price(amount, cells, context)
    return (
        "SELECT * EXCLUDE (t_item_id, t_quantity), "
        f"CASE WHEN {fits} THEN {item} ELSE t_item_id END AS t_item_id, "
        f"CASE WHEN {fits} THEN {amount} ELSE t_quantity END AS t_quantity FROM ({inner})"
    )


def _is_scale(code: str, scale: ScaleBarcode) -> str:
    starts = " OR ".join(f"starts_with({code}, {text(prefix)})" for prefix in scale.prefixes)
    whole = f"regexp_full_match({code}, '[0-9]{{13}}') AND ({starts})"
    return f"({whole} AND {_check_digit_fits(code)})" if scale.check_digit else f"({whole})"


def _check_digit_fits(code: str) -> str:
    """Weights 1 and 3 in turn; with the check digit the sum is a multiple of ten (GS1 General Specifications)."""
    digits = [f"coalesce(TRY_CAST(substr({code}, {at}, 1) AS INTEGER), 0)" for at in range(1, 14)]
    total = " + ".join(f"{3 if at % 2 else 1} * {digit}" for at, digit in enumerate(digits))
    return f"({total}) % 10 = 0"


def _part(code: str, digits: tuple[int, int]) -> str:
    first, last = digits
    return f"substr({code}, {first}, {last - first + 1})"


def _decimal(code: str, scale: ScaleBarcode) -> str:
    """Return the measure as the text of a decimal number."""
    first, last = scale.measure
    if scale.decimals == 0:
        return _part(code, scale.measure)
    whole = _part(code, (first, last - scale.decimals))
    return f"'0' || {whole} || '.' || {_part(code, (last - scale.decimals + 1, last))}"


def _quantity_by_price(amount: str, cells: Mapping[str, Cell], context: Context) -> str:
    """Divide the price of the line by the unit price; without one the row's own quantity stays, or 1."""
    price = cells.get("unit_price_cents")
    if price is None:
        return "coalesce(t_quantity, '1')"
    cents = f"CAST({amount} AS DOUBLE) * {10**context.money_decimals}"
    quantity = f"round({cents} / nullif({price.value}, 0), 3)"
    return f"coalesce(CAST({quantity} AS VARCHAR), t_quantity, '1')"
