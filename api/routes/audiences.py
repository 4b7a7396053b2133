"""Audiences: counted and sampled before anything is sent, saved in versions; card lists; who would want an item."""

from __future__ import annotations

import base64
import binascii
import hashlib

from sqlalchemy.engine import Connection

from api import problems
from api.audience_schemas import (
    AudienceAnswer,
    AudienceQuery,
    AudienceRequest,
    AudiencesAnswer,
    CardListAnswer,
    CardListRequest,
    CardListsAnswer,
    ItemAudienceAnswer,
    ItemAudienceRequest,
    PreviewAnswer,
    PreviewRequest,
)
from api.audiences import Desk, Json, Question, audience_body, list_body, taken_in
from api.auth import Scope
from api.delivery_rules import installed_caps
from api.idempotency import once
from api.openapi import Operation, Reply
from api.services import Call, Services
from recommender.campaigns.audience_store import get_audience, list_audiences, save_audience
from recommender.campaigns.audience_terms import Goods
from recommender.campaigns.card_files import CardColumn, CardRow, read_cards
from recommender.campaigns.card_lists import CardList, all_lists, resolve_cards, save_list
from recommender.campaigns.settings import Caps
from recommender.errors import InputError
from recommender.ids import check_id

TAG = "audiences"


def preview_audience(services: Services, call: Call, body: PreviewRequest) -> Reply:
    """Count and sample."""
    if body.expression is not None and body.audience_id is not None:
        accepted = "`expression`, or `audience_id`, or neither"
        raise InputError("The audience is given twice.", field="audience_id", value=body.audience_id, accepted=accepted)
    asked = Question(
        body.expression,
        body.audience_id,
        None if body.consent is None else body.consent.purpose,
        None if body.consent is None else body.consent.channel,
        installed_caps(services.settings).stricter(Caps(body.caps.per_day, body.caps.per_week, body.caps.per_month)),
        body.sample,
        call.language,
    )
    with services.database.read(snapshot=True) as connection:
        found = desk_of(services).preview(connection, asked, call.now)
    call.notes |= {"count": found["count"]}
    return Reply(found)


def put_audience(services: Services, call: Call, audience_id: str, body: AudienceRequest) -> Reply:
    """Save an audience."""
    with services.database.write(durable=True) as connection:
        saved = save_audience(connection, audience_id, body.name, body.expression, _who(call), call.now)
    call.notes |= {"version": saved.version}
    return Reply(audience_body(saved))


def get_one(services: Services, _call: Call, audience_id: str, query: AudienceQuery) -> Reply:
    """Return a saved audience."""
    with services.database.read() as connection:
        return Reply(audience_body(get_audience(connection, audience_id, query.version)))


def get_all(services: Services, _call: Call) -> Reply:
    """Return every saved audience."""
    with services.database.read() as connection:
        return Reply({"audiences": [audience_body(one) for one in list_audiences(connection)]})


def post_card_list(services: Services, call: Call, body: CardListRequest) -> Reply:
    """Take in a list."""
    column = _column(body)
    with services.database.read(snapshot=True) as connection:
        resolved = resolve_cards(connection, column, services.hash_key)
    saved = CardList(
        body.list_id or _made_id(call),
        body.name,
        resolved.rows,
        len(resolved.unresolved),
        call.now,
        _who(call),
    )
    call.notes |= {"rows": resolved.rows, "unknown": saved.unknown}

    def write(connection: Connection) -> Json:
        save_list(connection, saved, resolved.members)
        return taken_in(saved, column, resolved)

    return once(services, call, body, write, durable=True)


def get_card_lists(services: Services, _call: Call) -> Reply:
    """Return every list."""
    with services.database.read() as connection:
        return Reply({"card_lists": [list_body(one) for one in all_lists(connection)]})


def rank_for_items(services: Services, call: Call, body: ItemAudienceRequest) -> Reply:
    """Rank members for items."""
    goods = Goods(tuple(body.item_ids), tuple(body.categories), tuple(body.brands))
    if goods.everything == (body.offer_id is None):
        accepted = "`offer_id`, or some of `item_ids`, `categories` and `brands`"
        raise InputError("The question is about goods, or about an offer.", field="item_ids", accepted=accepted)
    asked = Question(
        body.among,
        None,
        None if body.consent is None else body.consent.purpose,
        None if body.consent is None else body.consent.channel,
        installed_caps(services.settings),
    )
    with services.database.read(snapshot=True) as connection:
        return Reply(desk_of(services).rank(connection, goods, asked, body.offer_id, body.count, call.now))


def desk_of(services: Services) -> Desk:
    """Return where audiences are asked in this process."""
    serving = services.serving.current()
    return Desk(services.audiences, services.settings, None if serving is None else serving.bundle)


def _column(body: CardListRequest) -> CardColumn:
    """Return the identities of a request."""
    if (body.values is None) == (body.file is None):
        accepted = "`values`, or `file`"
        raise InputError("A list is given one by one, or as a file.", field="values", accepted=accepted)
    if body.file is not None:
        try:
            content = base64.b64decode(body.file, validate=True)
        except (binascii.Error, ValueError):
            raise InputError("The file is not in base64.", field="file", accepted="base64") from None
        return read_cards(content, body.namespace, body.column)
    if body.namespace is None:
        raise InputError("What the values are is not said.", field="namespace", accepted="such as card or member")
    values = body.values or []
    return CardColumn(body.namespace, [CardRow(line, value) for line, value in enumerate(values, 1) if value.strip()])


def _made_id(call: Call) -> str:
    """Return the id of a list that has none: the same for the same call sent twice."""
    key = f"{_who(call)}\0{call.idempotency_key}"
    return check_id(f"list-{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}")


def _who(call: Call) -> str:
    assert call.caller is not None, "the operation has a scope"
    return call.caller.key_id


_PREVIEW = """
Counts the members that an expression, or a saved audience, holds for, and says who of them is left out and why; nothing
is saved or sent. `parts` tells what each part of an outermost `and` or `or` holds for by itself; `sample` shows some.
An expression that matches nobody, or everybody, is an ordinary answer with a note. Consents, tiers, other columns of
members and erasures are as of this moment; what members bought, browsed and were given is as of `features.built_at`.
"""
_CARDS = """
Identities are resolved once, when the list is taken in; rows that name nobody are counted by reason, the first hundred
by their line. Use it in expressions as `{"card_list": "ID"}`. The namespace of a file may come from its heading, such
as `card`, `phone`, `member_id`, 卡号, 手机号 or 会员号. Phone numbers and e-mail addresses are hashed at once.
"""
_RANK = """
The inverse of recommendations: members whose acts speak most for some items, categories, brands or an offer's goods, by
the kind and age of what they did and how much its items are like the wanted ones (the promoted bundle's neighbours);
the wanted items themselves count most. Only members who may be reached are ranked.
"""

OPERATIONS = (
    Operation(
        id="preview_audience",
        method="POST",
        path="/v1/audiences:preview",
        tag=TAG,
        summary="Count and sample an audience.",
        description=_PREVIEW,
        view=preview_audience,
        answers={200: PreviewAnswer},
        scope=Scope.CAMPAIGNS,
        body=PreviewRequest,
        problems=(problems.NOT_FOUND, problems.CONFLICT),
        localized=True,
    ),
    Operation(
        id="get_audiences",
        method="GET",
        path="/v1/audiences",
        tag=TAG,
        summary="All saved audiences.",
        description="The newest version of each.",
        view=get_all,
        answers={200: AudiencesAnswer},
        scope=Scope.CAMPAIGNS,
    ),
    Operation(
        id="put_audience",
        method="PUT",
        path="/v1/audiences/{audience_id}",
        tag=TAG,
        summary="Save an audience.",
        description=(
            "As a new version; earlier ones stay. The same content again keeps its version. An audience may be made of"
            " others, never of itself."
        ),
        view=put_audience,
        answers={200: AudienceAnswer},
        scope=Scope.CAMPAIGNS,
        body=AudienceRequest,
    ),
    Operation(
        id="get_audience",
        method="GET",
        path="/v1/audiences/{audience_id}",
        tag=TAG,
        summary="One saved audience.",
        description="Its newest version, or the one named.",
        view=get_one,
        answers={200: AudienceAnswer},
        scope=Scope.CAMPAIGNS,
        query=AudienceQuery,
        problems=(problems.NOT_FOUND,),
    ),
    Operation(
        id="post_card_list",
        method="POST",
        path="/v1/card-lists",
        tag=TAG,
        summary="Take in a list of members.",
        description=_CARDS,
        view=post_card_list,
        answers={200: CardListAnswer},
        scope=Scope.CAMPAIGNS,
        body=CardListRequest,
        problems=(problems.CONFLICT,),
        idempotent=True,
    ),
    Operation(
        id="get_card_lists",
        method="GET",
        path="/v1/card-lists",
        tag=TAG,
        summary="All lists.",
        description="The latest first.",
        view=get_card_lists,
        answers={200: CardListsAnswer},
        scope=Scope.CAMPAIGNS,
    ),
    Operation(
        id="rank_audience_of_items",
        method="POST",
        path="/v1/items:audience",
        tag=TAG,
        summary="Who would want some items.",
        description=_RANK,
        view=rank_for_items,
        answers={200: ItemAudienceAnswer},
        scope=Scope.CAMPAIGNS,
        body=ItemAudienceRequest,
        problems=(problems.NOT_FOUND, problems.CONFLICT),
    ),
)
