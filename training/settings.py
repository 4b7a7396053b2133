"""TrainingSettings: what a training run can be told, from a TOML file; the bundle keeps the values used."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path

from recommender.errors import SettingsError
from recommender.retrievers import RETRIEVERS
from recommender.retrievers.popularity import PopularityRetriever
from recommender.settings import read_settings, setting

PROTOCOLS = ("", "time", "rolling", "last_order", "leave_one_out")


@dataclass(frozen=True, slots=True)
class WeightSettings:
    """How much events count, and how fast they lose weight."""

    purchase_half_life_days: float = field(
        default=90.0, metadata=setting("Age at which a purchase counts half.", unit="days", minimum=0.1)
    )
    taste_half_life_days: float = field(
        default=45.0,
        metadata=setting(
            "Age at which a purchase counts half in what is learned from all members.",
            unit="days",
            minimum=0.1,
        ),
    )
    browse_half_life_days: float = field(
        default=14.0, metadata=setting("Age at which a view counts half.", unit="days", minimum=0.1)
    )
    browse_weight: float = field(
        default=0.2, metadata=setting("Weight of browsing beside purchases.", unit="factor", minimum=0)
    )
    learned: bool = field(
        default=True,
        metadata=setting("Learn what kinds of browsing, and channels, are worth; otherwise defaults."),
    )


@dataclass(frozen=True, slots=True)
class PopularitySettings:
    """Popularity overall and by store, trends and occasions."""

    half_life_days: float = field(
        default=14.0,
        metadata=setting("Age at which a sale counts half for popularity.", unit="days", minimum=0.1),
    )
    store_prior: float = field(
        default=1000.0,
        metadata=setting("Sales in a store that all stores' shares are worth.", unit="sales", minimum=0.1),
    )
    store_depth: int = field(default=200, metadata=setting("Items kept in a store's list.", unit="items", minimum=1))
    trending_days: float = field(
        default=7.0, metadata=setting("The recent period of trends.", unit="days", minimum=0.1)
    )
    trending_prior: float = field(
        default=10.0,
        metadata=setting("Sales added to what a trend, or an occasion, expects.", unit="sales", minimum=0.1),
    )
    occasion_depth: int = field(
        default=100, metadata=setting("Items kept per weekday and time of the year.", unit="items", minimum=1)
    )
    arrival_days: float = field(
        default=28.0, metadata=setting("How long an item counts as new.", unit="days", minimum=0.1)
    )
    arrivals: int = field(default=2000, metadata=setting("New items kept.", unit="items", minimum=1))


@dataclass(frozen=True, slots=True)
class RepeatSettings:
    """Repeat purchases."""

    horizon_days: float = field(
        default=28.0,
        metadata=setting("Period that shows what due items are worth.", unit="days", minimum=0.1),
    )
    prior_gaps: float = field(
        default=3.0,
        metadata=setting("Own intervals that an item's usual one is worth.", unit="intervals", minimum=0.1),
    )


@dataclass(frozen=True, slots=True)
class FactorSettings:
    """Alternating least squares."""

    factors: int = field(default=64, metadata=setting("Dimensions of the factors.", minimum=1, maximum=1024))
    iterations: int = field(default=15, metadata=setting("Passes over members and items.", minimum=1))
    warm_iterations: int = field(
        default=5, metadata=setting("Passes that continue an earlier window's fit.", minimum=1)
    )
    alpha: float = field(default=5.0, metadata=setting("Confidence per root of a weight.", minimum=0.001))
    regularization: float = field(
        default=0.8,
        metadata=setting("L2 weight, as a multiple of the level of noise.", unit="factor", minimum=0.0001),
    )
    min_members: int = field(
        default=3, metadata=setting("Items with fewer members get no factors.", unit="members", minimum=1)
    )


@dataclass(frozen=True, slots=True)
class NeighborSettings:
    """Item-item neighbours and members with similar taste."""

    neighbors: int = field(default=100, metadata=setting("Neighbours kept per item.", unit="items", minimum=1))
    shrinkage: float = field(
        default=0.3, metadata=setting("Exponent of popularity in the cosine.", minimum=0, maximum=1)
    )
    history_items: int = field(
        default=150,
        metadata=setting("The heaviest items of a history that count for neighbours.", unit="items", minimum=1),
    )
    pool_size: int = field(default=20_000, metadata=setting("Members that can be peers.", unit="members", minimum=1))
    peer_share: float = field(
        default=0.08,
        metadata=setting(
            "Part of those who can be peers that is asked per slate, within fixed bounds.",
            unit="share",
            minimum=0.0001,
            maximum=1,
        ),
    )
    sharpness: float = field(default=2.0, metadata=setting("Exponent of similarity in a vote.", minimum=0))
    vote_half_life_days: float = field(
        default=3.5,
        metadata=setting("Age at which a peer's purchase counts half in their vote.", unit="days", minimum=0.1),
    )


@dataclass(frozen=True, slots=True)
class LinearSettings:
    """The linear item-item model: memory grows with the square of its items, time with the cube."""

    items: int = field(
        default=4000, metadata=setting("Most items that take part, those of most members.", unit="items", minimum=1)
    )
    kept: int = field(default=100, metadata=setting("Largest coefficients kept per item.", unit="items", minimum=1))
    regularization: float = field(
        default=5.0,
        metadata=setting("L2 weight, as a multiple of an item's mean squared weights.", unit="factor", minimum=0.01),
    )


@dataclass(frozen=True, slots=True)
class SimilarSettings:
    """Similar items and substitutes."""

    listed: int = field(default=60, metadata=setting("Items kept per item.", unit="items", minimum=1))
    behaviour: float = field(
        default=0.8,
        metadata=setting(
            "What members do, beside content, in the likeness of well-known items.", unit="share", minimum=0, maximum=1
        ),
    )


@dataclass(frozen=True, slots=True)
class TogetherSettings:
    """What is bought in the same order."""

    half_life_days: float = field(
        default=365.0,
        metadata=setting("Age at which an order counts half for what goes together.", unit="days", minimum=0.1),
    )
    recent_half_life_days: float = field(
        default=14.0,
        metadata=setting("Age at which a member's own purchase asks half for its partners.", unit="days", minimum=0.1),
    )
    items: int = field(
        default=20_000, metadata=setting("Most items that take part, those of most orders.", unit="items", minimum=1)
    )
    kept: int = field(default=100, metadata=setting("Partners kept per item.", unit="items", minimum=1))
    prior: float = field(
        default=10.0,
        metadata=setting("Orders added to an item's own, against chance.", unit="orders", minimum=0.1),
    )
    largest_order: int = field(
        default=100,
        metadata=setting("Orders of more items say nothing of what goes together.", unit="items", minimum=2),
    )


@dataclass(frozen=True, slots=True)
class ConvertedSettings:
    """What is bought by those who browse an item."""

    days: float = field(
        default=180.0, metadata=setting("How far back browsing and purchases count.", unit="days", minimum=0.1)
    )
    items: int = field(
        default=20_000, metadata=setting("Most browsed and most bought items that take part.", unit="items", minimum=1)
    )
    kept: int = field(default=100, metadata=setting("Bought items kept per browsed one.", unit="items", minimum=1))
    prior: float = field(
        default=50.0, metadata=setting("Members added to an item's own, against chance.", unit="members", minimum=0.1)
    )


def _check_names(value: tuple[str, ...]) -> None:
    accepted = sorted(set(RETRIEVERS) - {PopularityRetriever.name})
    if not set(value) <= set(accepted):
        raise ValueError(f"names among {', '.join(accepted)}")


@dataclass(frozen=True, slots=True)
class RetrieverSettings:
    """Which retrievers take part."""

    off: tuple[str, ...] = field(
        default=(),
        metadata=setting("Retrievers that are not fitted; popularity always is.", unit="names", check=_check_names),
    )


@dataclass(frozen=True, slots=True)
class RankerSettings:
    """Boosted trees that correct the blend."""

    windows: int = field(
        default=4,
        metadata=setting("Windows before the validation window to learn from; 0: the blend alone.", minimum=0),
    )
    members: int = field(
        default=6000, metadata=setting("Members asked per window, drawn by the seed.", unit="members", minimum=1)
    )
    wrong: int = field(
        default=20, metadata=setting("Candidates not bought that are kept per list.", unit="items", minimum=1)
    )
    least_lists: int = field(
        default=200,
        metadata=setting("Lists with a purchase without which no trees are grown.", unit="lists", minimum=1),
    )
    lists_per_tree: int = field(
        default=40, metadata=setting("Lists with a purchase per tree.", unit="lists", minimum=1)
    )
    trees: int = field(default=100, metadata=setting("Most trees of one scenario.", unit="trees", minimum=1))
    leaves: int = field(default=15, metadata=setting("Leaves of a tree.", unit="leaves", minimum=2))
    least_in_leaf: int = field(
        default=100, metadata=setting("Fewest candidates in a leaf.", unit="candidates", minimum=1)
    )
    learning_rate: float = field(default=0.1, metadata=setting("Weight of a tree.", minimum=0.001, maximum=1))
    bins: int = field(default=63, metadata=setting("Values told apart per feature.", minimum=3, maximum=255))


@dataclass(frozen=True, slots=True)
class SlateSettings:
    """How slates spread."""

    diversity: float = field(
        default=-1.0,
        metadata=setting(
            "How much less an item of `home` is worth for each better one of its category; 0: off; "
            "-1: as much as gains NDCG on the validation window.",
            unit="share",
            minimum=-1,
            maximum=0.99,
        ),
    )
    calibration: float = field(
        default=-1.0,
        metadata=setting(
            "Part of a member's own shares of novel and repeat items that `home` must hold; 0: off; "
            "-1: as much as gains NDCG on the validation window.",
            unit="share",
            minimum=-1,
            maximum=1,
        ),
    )


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """How evaluation windows are cut."""

    protocol: str = field(
        default="",
        metadata=setting("How history and truth are told apart; empty: the data decides.", choices=PROTOCOLS),
    )
    window_days: float = field(
        default=0.0,
        metadata=setting("Length of a window; 0: 28, less for short histories.", unit="days", minimum=0),
    )


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """How a model is evaluated."""

    members: int = field(
        default=2500,
        metadata=setting("Members in the test, drawn by the seed; 0: all.", unit="members", minimum=0),
    )
    tuning_members: int = field(
        default=800,
        metadata=setting("Members on whom the blend is tuned and the gate judges; 0: all.", unit="members", minimum=0),
    )
    detail_members: int = field(
        default=300,
        metadata=setting(
            "Members on whom ablation, learning curve and the comparison with the promoted bundle stand; "
            "0: these are left out.",
            unit="members",
            minimum=0,
        ),
    )
    bootstrap_rounds: int = field(
        default=1000, metadata=setting("Resamples behind an interval.", unit="rounds", minimum=20)
    )
    baseline_half_life_days: float = field(
        default=90.0,
        metadata=setting("Decay of the personal baseline.", unit="days", minimum=0.1),
    )


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Everything a training run can be told; the seed and these values decide the bundle."""

    seed: int = field(default=7, metadata=setting("Seed of every random choice.", minimum=0))
    threads: int = field(
        default=0,
        metadata=setting("Threads of the fits; 0: one per processor core.", unit="threads", minimum=0),
    )
    history_entries: int = field(
        default=5000,
        metadata=setting("Most recent entries kept per member in the bundle.", unit="entries", minimum=1),
    )
    prepared_members: int = field(
        default=200_000,
        metadata=setting(
            "Members, those who came last, whose slates are ranked in advance.", unit="members", minimum=0
        ),
    )
    weights: WeightSettings = field(default_factory=WeightSettings)
    popularity: PopularitySettings = field(default_factory=PopularitySettings)
    repeat: RepeatSettings = field(default_factory=RepeatSettings)
    factors: FactorSettings = field(default_factory=FactorSettings)
    neighbors: NeighborSettings = field(default_factory=NeighborSettings)
    linear: LinearSettings = field(default_factory=LinearSettings)
    together: TogetherSettings = field(default_factory=TogetherSettings)
    converted: ConvertedSettings = field(default_factory=ConvertedSettings)
    retrievers: RetrieverSettings = field(default_factory=RetrieverSettings)
    similar: SimilarSettings = field(default_factory=SimilarSettings)
    ranker: RankerSettings = field(default_factory=RankerSettings)
    slate: SlateSettings = field(default_factory=SlateSettings)
    split: SplitSettings = field(default_factory=SplitSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)

    @property
    def thread_count(self) -> int:
        """Threads to use on this machine."""
        return self.threads or len(os.sched_getaffinity(0))


def read_training_settings(file: Path | None) -> TrainingSettings:
    """Read training settings from a TOML file; without one they are the defaults.

    The environment is not asked: the same file must give the same bundle everywhere.

    Raises: SettingsError if the file cannot be read, a name is unknown or a value is not accepted.
    """
    return read_settings(TrainingSettings, {}, file)


def settings_text(settings: TrainingSettings) -> str:
    """Write settings as the TOML that read_training_settings() reads: every value, also the defaults."""
    lines = ["# The settings of this training run, as they were used."]
    lines += _lines(settings)
    for entry in fields(settings):
        table = getattr(settings, entry.name)
        if is_dataclass(table):
            lines += ["", f"[{entry.name}]", *_lines(table)]
    return "\n".join(lines) + "\n"


def _lines(table: object) -> list[str]:
    values = {entry.name: getattr(table, entry.name) for entry in fields(table)}  # type: ignore[arg-type]
    return [f"{name} = {_toml(value)}" for name, value in values.items() if not is_dataclass(value)]


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str) and value.isprintable() and '"' not in value and "\\" not in value:
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(part) for part in value)}]"
    raise SettingsError("A training setting cannot be written as TOML.", value=value)
