"""The benchmarks as a program: `python -m tests.benchmarks [ingest|train|... ...]`, or `make bench`.

`python -m tests.benchmarks soak` is a program of its own, see soak.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from tests.benchmarks.allocation import measure_allocation
from tests.benchmarks.audiences import measure_audiences
from tests.benchmarks.batch import measure_batch
from tests.benchmarks.campaigns import measure_campaigns
from tests.benchmarks.choices import Sizes, retail_options, workspace
from tests.benchmarks.coupons import measure_coupons
from tests.benchmarks.delivery import measure_delivery
from tests.benchmarks.ingest import measure_ingest, measure_large_ingest
from tests.benchmarks.results import Result
from tests.benchmarks.serve import measure_serve
from tests.benchmarks.shops import Shop, growing_shops
from tests.benchmarks.soak import soak
from tests.benchmarks.train import measure_train
from tests.benchmarks.wallet import measure_wallet

BENCHMARKS = {"ingest": measure_ingest, "train": measure_train, "batch": measure_batch}
"""Measurements on shops of growing numbers of events."""
WALLET = "wallet"
"""The measurement of coupons, on an empty database of each kind."""
ALLOCATION = "allocation"
"""The measurement of plans, on generated instances."""
AUDIENCES = "audiences"
"""The measurement of previews, on generated members."""
CAMPAIGNS = "campaigns"
"""The measurement of plans of campaigns, on generated members and each database."""
DELIVERY = "delivery"
"""The measurement of messages, on an empty database of each kind."""
COUPONS = "coupons"
"""The measurement of slates with coupons, on a small world whose campaign runs now."""
SERVE = "serve"
"""The measurement on a retailer of chosen sizes."""
SIZES = "0.3M,1M,3M"
LARGE = 10_000_000
ROUNDS = {
    "ingest": 5,
    "train": 3,
    "batch": 3,
    SERVE: 3,
    WALLET: 3,
    DELIVERY: 3,
    ALLOCATION: 1,
    AUDIENCES: 3,
    COUPONS: 3,
    CAMPAIGNS: 1,
}


@click.command()
@click.argument(
    "names",
    nargs=-1,
    type=click.Choice([*BENCHMARKS, WALLET, DELIVERY, ALLOCATION, AUDIENCES, COUPONS, CAMPAIGNS, SERVE]),
)
@click.option("--sizes", type=Sizes(), default=SIZES, show_default=True, help="Numbers of events, but for serve.")
@click.option("--rounds", type=click.IntRange(1), help="Repetitions of each measurement; by default a few.")
@click.option("--large", is_flag=True, help="With ingest: also load 10 M events once.")
@retail_options
@click.option(
    "--audience-members", type=Sizes(), default="0.1M,0.3M,1M", show_default=True, help="With audiences: members."
)
@click.option("--campaign-members", type=Sizes(), default="10k,30k", show_default=True, help="With campaigns: members.")
@click.option("--grow-members", type=Sizes(), help="With serve: also the cost of an answer with so many members each.")
@click.option("--grow-items", type=Sizes(), help="With serve: also the cost of an answer with so many items each.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep the synthetic shops here for the next time.")
@click.option("--out", type=click.Path(path_type=Path), default="var/benchmarks.json", show_default=True)
def main(
    names: tuple[str, ...],
    sizes: tuple[int, ...],
    rounds: int | None,
    large: bool,
    retail: tuple[int, int, int, int],
    audience_members: tuple[int, ...],
    campaign_members: tuple[int, ...],
    grow_members: tuple[int, ...] | None,
    grow_items: tuple[int, ...] | None,
    folder: Path | None,
    out: Path,
) -> None:
    """Measure Memberwise beside what it is compared with, and print tables; all measurements by default."""
    results: list[Result] = []
    with workspace(folder) as place:
        shops = [Shop(place / str(size), size) for size in sizes]
        for name in dict.fromkeys(
            names or [*BENCHMARKS, WALLET, DELIVERY, ALLOCATION, AUDIENCES, COUPONS, CAMPAIGNS, SERVE]
        ):
            turns = rounds or ROUNDS[name]
            if name == SERVE:
                shop, growing = growing_shops(place, retail, grow_members or (), grow_items or ())
                results += measure_serve(shop, growing, turns)
            elif name == WALLET:
                results.append(measure_wallet(place, turns))
            elif name == COUPONS:
                results.append(measure_coupons(place, turns))
            elif name == AUDIENCES:
                results.append(measure_audiences(place, audience_members, turns))
            elif name == CAMPAIGNS:
                results.append(measure_campaigns(place, campaign_members, turns))
            elif name == DELIVERY:
                results.append(measure_delivery(place, turns))
            elif name == ALLOCATION:
                results.append(measure_allocation(place))
            else:
                results.append(BENCHMARKS[name](shops, turns))
        if large:
            results.append(measure_large_ingest(Shop(place / str(LARGE), LARGE)))
    for result in results:
        click.echo(result.as_text())
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps([result.as_json() for result in results], indent=1), "utf-8")
    click.echo(f"Written to {out}.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["soak"]:
        soak(sys.argv[2:])
    main()
