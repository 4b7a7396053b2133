"""The OpenAPI document: valid, complete, and true of the code; and the page that shows it."""

import re
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.offer_schemas import ExternalCoupon, ExternalRedemption, OfferRow
from api.openapi import Operation
from api.problems import PROBLEM_KINDS
from api.reading import read_body
from api.routes import OPERATIONS
from api.table_schemas import ItemRow, LinkRow, MemberRow, StockRow, StoreRow
from recommender.columns import EVENTS, TABLES
from tests.api.checked import DOCUMENT, CheckedClient

DOCS = Path("api/static/docs")


def test_it_is_valid() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_operation_has_examples_and_every_error() -> None:
    for operation in OPERATIONS:
        entry = DOCUMENT["paths"][operation.path][operation.method.lower()]
        assert entry["summary"]
        assert entry["description"]
        assert entry["tags"] == [operation.tag]
        assert all(parameter["description"] for parameter in entry["parameters"]), operation.id
        if operation.body is not None:
            assert entry["requestBody"]["content"]["application/json"]["examples"]
        statuses = set(entry["responses"])
        assert {"200", "500"} <= statuses
        assert operation.scope is None or {"401", "403", "503"} <= statuses
        assert operation.body is None or {"400", "413", "415"} <= statuses
        for status, answer in entry["responses"].items():
            assert answer["description"]
            if int(status) >= 400:
                assert answer["content"]["application/problem+json"]["examples"]
            elif "application/json" in answer["content"]:
                assert answer["content"]["application/json"]["examples"], operation.id


def test_names_are_used_once_and_described() -> None:
    assert len({operation.id for operation in OPERATIONS}) == len(OPERATIONS)
    described = {tag["name"] for tag in DOCUMENT["tags"] if tag["description"]}
    assert {operation.tag for operation in OPERATIONS} == described
    assert all(schema.get("description") for schema in DOCUMENT["components"]["schemas"].values())
    named = {kind.name for operation in OPERATIONS for kind in operation.all_problems}
    anywhere = {"method-not-allowed", "bad-request"}
    assert named == {kind.name for kind in PROBLEM_KINDS} - anywhere


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.body is not None], ids=lambda o: o.id)
def test_examples_of_bodies_are_accepted(operation: Operation) -> None:
    import orjson

    entry = DOCUMENT["paths"][operation.path][operation.method.lower()]
    assert operation.body is not None
    for example in entry["requestBody"]["content"]["application/json"]["examples"].values():
        read_body(operation.body, orjson.dumps(example["value"]))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.id)
def test_examples_of_answers_keep_their_schema(operation: Operation) -> None:
    for status, answer in operation.answers.items():
        if answer is None:
            continue
        entry = DOCUMENT["paths"][operation.path][operation.method.lower()]["responses"][str(status)]
        for example in entry["content"]["application/json"].get("examples", {}).values():
            answer.model_validate(example["value"])


@pytest.mark.parametrize(
    ("row", "table", "extra"),
    [
        (ItemRow, "items", {"hidden"}),
        (StoreRow, "stores", set()),
        (StockRow, "inventory", set()),
        (MemberRow, "members", set()),
        (LinkRow, "identities", set()),
        (OfferRow, "offers", set()),
        (ExternalCoupon, "coupons", set()),
        (ExternalRedemption, "redemptions", set()),
    ],
)
def test_rows_have_the_columns_of_the_data_contract(row: type, table: str, extra: set[str]) -> None:
    spec = TABLES[table]
    assert set(row.model_fields) == {column.name for column in spec.columns} | extra
    required = {name for name, field in row.model_fields.items() if field.is_required()}
    assert required == set(spec.required)
    for column in spec.columns:
        for choice in column.choices:
            assert choice in str(row.model_fields[column.name].annotation)


def test_events_have_the_columns_of_the_data_contract() -> None:
    from api.schemas import EventRow

    columns = {column.name for column in EVENTS.columns} - {"namespace", "identity_value"} | {"identity"}
    assert set(EventRow.model_fields) == columns
    assert {name for name, field in EventRow.model_fields.items() if field.is_required()} == set(EVENTS.required)


def test_it_is_served_behind_a_prefix(shared_client: CheckedClient) -> None:
    response = shared_client.get("/openapi.json", environ_overrides={"SCRIPT_NAME": "/shop"})
    assert response.json is not None
    assert response.json["servers"] == [{"url": "/shop"}]
    assert shared_client.get("/openapi.json").json["paths"].keys() == DOCUMENT["paths"].keys()


def test_the_page_works_offline(shared_client: CheckedClient) -> None:
    page = shared_client.get("/docs")
    assert page.status_code == 200
    assert page.mimetype == "text/html"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    named = re.findall(r'(?:href|src)="([^"]+)"', page.text)
    assert "docs/docs.js" in named
    for address in named:
        assert shared_client.get(f"/{address}").status_code == 200
    for file in ("docs.js", "docs.css", "index.html"):
        text = (DOCS / file).read_text("utf-8")
        assert "http://" not in text
        assert "https://" not in text
        assert "innerHTML" not in text
