from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.errors import SettingsError
from recommender.webhook_signature import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    TOLERANCE,
    Proved,
    Unproved,
    add_secret,
    make_secret,
    parse_secret,
    read_secrets,
    sign,
    verify,
)

# A vector that the Standard Webhooks libraries are tested with; the signature is computed again below.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = datetime.fromtimestamp(1614265330, UTC)
PAYLOAD = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

KEY = parse_secret(SECRET)
OTHER = parse_secret(make_secret())


def test_the_published_vector() -> None:
    signed = hmac.new(base64.b64decode(SECRET[6:]), f"{MESSAGE}.1614265330.".encode() + PAYLOAD, hashlib.sha256)
    assert "v1," + base64.b64encode(signed.digest()).decode() == SIGNATURE
    assert sign([KEY], MESSAGE, AT, PAYLOAD) == {
        "webhook-id": MESSAGE,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }
    assert verify([KEY], sign([KEY], MESSAGE, AT, PAYLOAD), PAYLOAD, AT) == Proved(MESSAGE, AT)


def test_the_vector_of_the_specification() -> None:
    key = base64.b64decode("plJ3nmyCDGBKInavdOK15jsl")
    at = datetime.fromtimestamp(1731705121, UTC)
    headers = sign([key], "msg_loFOjxBNrRLzqYUf", at, b'{"event_type":"ping","data":{"success":true}}')
    assert headers[SIGNATURE_HEADER] == "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="


def test_while_secrets_are_replaced_either_side_may_have_both() -> None:
    both = sign([OTHER, KEY], MESSAGE, AT, PAYLOAD)
    assert isinstance(verify([KEY], both, PAYLOAD, AT), Proved)
    assert isinstance(verify([KEY, OTHER], sign([OTHER], MESSAGE, AT, PAYLOAD), PAYLOAD, AT), Proved)
    assert verify([KEY], sign([OTHER], MESSAGE, AT, PAYLOAD), PAYLOAD, AT) is Unproved.NO_SIGNATURE_MATCHES
    assert verify([], both, PAYLOAD, AT) is Unproved.NO_SIGNATURE_MATCHES


@pytest.mark.parametrize("name", [ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER])
def test_without_a_header_nothing_is_proved(name: str) -> None:
    headers = sign([KEY], MESSAGE, AT, PAYLOAD)
    assert verify([KEY], headers | {name: ""}, PAYLOAD, AT) is Unproved.HEADER_MISSING
    del headers[name]
    assert verify([KEY], headers, PAYLOAD, AT) is Unproved.HEADER_MISSING


def test_old_and_future_messages_are_refused() -> None:
    headers, second = sign([KEY], MESSAGE, AT, PAYLOAD), timedelta(seconds=1)
    assert isinstance(verify([KEY], headers, PAYLOAD, AT + TOLERANCE), Proved)
    assert verify([KEY], headers, PAYLOAD, AT + TOLERANCE + second) is Unproved.TOO_OLD
    assert verify([KEY], headers, PAYLOAD, AT - TOLERANCE - second) is Unproved.TOO_NEW


@pytest.mark.parametrize("said", ["1614265330.5", "-1", "+1614265330", "now", "٣", "9" * 400])
def test_a_time_is_whole_seconds(said: str) -> None:
    headers = sign([KEY], MESSAGE, AT, PAYLOAD) | {TIMESTAMP_HEADER: said}
    assert verify([KEY], headers, PAYLOAD, AT) is Unproved.TIMESTAMP_INVALID


@pytest.mark.parametrize("said", ["g0hM", "v2," + SIGNATURE[3:], SIGNATURE[3:], "v1", "v1,", "v1,\u00e9", " "])
def test_other_signatures_do_not_match(said: str) -> None:
    headers = sign([KEY], MESSAGE, AT, PAYLOAD) | {SIGNATURE_HEADER: said}
    assert verify([KEY], headers, PAYLOAD, AT) is Unproved.NO_SIGNATURE_MATCHES


@given(st.binary(max_size=200), st.integers(0, 2000), st.integers(1, 255))
def test_any_byte_changed_is_noticed(payload: bytes, where: int, change: int) -> None:
    headers = sign([KEY], MESSAGE, AT, payload)
    assert isinstance(verify([KEY], headers, payload, AT), Proved)
    changed = bytearray(payload or b"\0")
    changed[where % len(changed)] ^= change
    assert verify([KEY], headers, bytes(changed), AT) is Unproved.NO_SIGNATURE_MATCHES
    assert verify([KEY], headers | {ID_HEADER: "msg_2"}, payload, AT) is Unproved.NO_SIGNATURE_MATCHES


@pytest.mark.parametrize("text", ["whsec_?", "whsec_" + "a" * 28, "whsec_" + base64.b64encode(bytes(65)).decode()])
def test_weak_secrets_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parse_secret(text)
    assert text not in str(raised.value)


def test_a_file_of_secrets(tmp_path: Path) -> None:
    path = tmp_path / "home" / "secrets"
    assert read_secrets(path) == ()
    first, second = add_secret(path), add_secret(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_secrets(path) == (parse_secret(first), parse_secret(second))
    path.write_text(f"# since March\n\n{second}\n", "utf-8")
    assert read_secrets(path) == (parse_secret(second),)


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    add_secret(path)
    path.chmod(0o640)
    with pytest.raises(SettingsError, match="Others may read"):
        read_secrets(path)
    with pytest.raises(SettingsError, match="Others may read"):
        add_secret(path)
