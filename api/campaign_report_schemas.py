"""Bodies of the report of a campaign."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from api.campaign_report_example import EXAMPLE
from api.fields import Answer, Body
from api.report_schemas import EstimateAnswer
from recommender.campaigns.report_texts import Segmentation

ReportFormat = Literal["json", "csv", "html"]
Verdict = Literal["rise", "fall", "undetermined"]


class CampaignReportQuery(Body):
    """How a campaign's report is given."""

    segment_by: Annotated[
        Segmentation, Field(strict=False, description="What members are told apart by, as it was before the campaign.")
    ] = Segmentation.HISTORY
    format: Annotated[
        ReportFormat, Field(description="`csv`: one line per number. `html`: a page with plots, to be printed or kept.")
    ] = "json"


class ReportWindow(Answer):
    """When purchases count: from each member's assignment, so long; and as long before it."""

    from_: str | None = Field(alias="from")
    to: str | None
    days: int
    days_before: int
    complete: bool


class GroupSize(Answer):
    """How many are in a group."""

    units: int
    members: int


class LeftOut(Answer):
    """Members of each group who are not counted."""

    reason: str
    treated: int
    control: int


class GroupSizes(Answer):
    """Who is compared."""

    treated: GroupSize
    control: GroupSize
    control_arm: Literal["holdout", "global_holdout"]
    left_out: list[LeftOut]


class SampleRatio(Answer):
    """Whether the groups are of the sizes that were drawn."""

    p_value: float | None
    alarm: bool
    expected_treated: float


class VerdictAnswer(Answer):
    """What can be said, of which figure, and why no more."""

    figure: str
    says: Verdict
    because: list[str]


class EffectAnswer(Answer):
    """What one figure did."""

    treated_mean: float | None
    control_mean: float | None
    per_member: EstimateAnswer
    total: EstimateAnswer
    relative: EstimateAnswer
    p_value: float | None
    verdict: Verdict


class WinsorisedAnswer(EffectAnswer):
    """The figure once more with the largest units cut."""

    cut: float | None


class MeasuredAnswer(Answer):
    """One figure with CUPED, without, and winsorised."""

    adjusted: EffectAnswer
    raw: EffectAnswer
    winsorised: WinsorisedAnswer
    narrowed: float | None
    skewed: bool


class EffectsAnswer(Answer):
    """What the campaign changed."""

    sales: MeasuredAnswer
    margin: MeasuredAnswer
    profit: MeasuredAnswer
    orders: MeasuredAnswer
    visits: MeasuredAnswer


class CostsAnswer(Answer):
    """What the campaign cost."""

    discount_cents: int
    own_discount_cents: int
    contact_cents: int
    total_cents: int
    control_cents: int
    budget_cents: int | None


class PlannedAnswer(Answer):
    """What the plan expected."""

    profit_cents: EstimateAnswer
    cost_cents: float | None


class ReturnAnswer(EstimateAnswer):
    """A ratio, and where its interval comes from."""

    method: Literal["fieller", "bootstrap", "none"]
    verdict: Verdict


class ReturnsAnswer(Answer):
    """Return on cost, with CUPED and without."""

    adjusted: ReturnAnswer
    raw: ReturnAnswer


class AnywayAnswer(Answer):
    """Redeemers who would have bought anyway."""

    redeemers: int
    share: EstimateAnswer
    members: float | None
    method: Literal["fieller", "bootstrap", "none"]


class SegmentRow(Answer):
    """One segment; `verdict` goes by the corrected p-value."""

    segment: str
    treated_units: int
    control_units: int
    per_member: EstimateAnswer
    p_value: float | None
    corrected_p_value: float | None
    verdict: Verdict


class SegmentsAnswer(Answer):
    """The effect by segment, and how many comparisons that makes."""

    by: Segmentation = Field(strict=False)
    figure: str
    comparisons: int
    expected_by_chance: float
    any_by_chance: float
    differ_p_value: float | None
    rows: list[SegmentRow]


class RemedyAnswer(Answer):
    """What would make the smallest detectable effect smaller."""

    change: str
    size: float
    relative: float | None


class DetectableAnswer(Answer):
    """The smallest effect that these groups find with the stated power."""

    figure: str
    power: float
    per_member: float | None
    relative: float | None
    remedies: list[RemedyAnswer]


class LostMessages(Answer):
    """Messages that were lost for one reason."""

    group: str
    state: str
    reason: str
    messages: int


class FunnelAnswer(Answer):
    """What became of messages and coupons."""

    treated: dict[str, int]
    control: dict[str, int]
    lost: list[LostMessages]
    coupons: dict[str, int]


class CampaignReport(Answer):
    """What a campaign changed, cost and earned; `definitions` says what each figure means."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})
    campaign_id: str
    name: str | None
    status: str
    made_at: str
    window: ReportWindow
    assumed_margin_share: float
    groups: GroupSizes
    sample_ratio: SampleRatio
    verdict: VerdictAnswer
    effects: EffectsAnswer
    costs: CostsAnswer
    planned: PlannedAnswer | None
    return_on_cost: ReturnsAnswer
    bought_anyway: AnywayAnswer
    segments: SegmentsAnswer
    detectable: DetectableAnswer
    funnel: FunnelAnswer
    definitions: dict[str, str]
