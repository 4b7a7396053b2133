"""Member tokens: which are taken, which are refused and why, and that keys can be replaced without a gap."""

import base64
import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from api.auth import Caller
from api.member_tokens import TokenReader, TokenRules, add_public_key, add_secret, read_keys, retire_key
from api.problems import UNAUTHORIZED, ProblemError
from recommender.errors import ConflictError, InputError, NotFoundError, SettingsError
from tests.api.tokens import AUDIENCE, ISSUER, Signer, claims_of

RULES = TokenRules(ISSUER, AUDIENCE, 30, 86_400)
PRIVATE = rsa.generate_private_key(65537, 2048)
PUBLIC_PEM = PRIVATE.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    return tmp_path / "jwt_keys.json"


@pytest.fixture
def signer(keys_file: Path) -> Signer:
    return Signer(keys_file)


def read(keys_file: Path, token: str, rules: TokenRules = RULES) -> Caller:
    return TokenReader(keys_file, rules).read(token, datetime.now(UTC))


def refusal(keys_file: Path, token: str, rules: TokenRules = RULES) -> str:
    with pytest.raises(ProblemError) as caught:
        read(keys_file, token, rules)
    assert caught.value.kind is UNAUTHORIZED
    return caught.value.message


def test_a_token_speaks_for_its_member_alone(keys_file: Path, signer: Signer) -> None:
    caller = read(keys_file, signer.token("m01"))
    assert (caller.member_id, caller.key_id, caller.scopes) == ("m01", "token:k1", frozenset())


def test_rs256_is_verified_by_the_public_key(keys_file: Path) -> None:
    add_public_key(keys_file, "r1", PUBLIC_PEM)
    good = jwt.encode(claims_of("m02"), PRIVATE, "RS256", headers={"kid": "r1"})
    assert read(keys_file, good).member_id == "m02"
    stranger = jwt.encode(claims_of("m02"), rsa.generate_private_key(65537, 2048), "RS256", headers={"kid": "r1"})
    assert "ignature" in refusal(keys_file, stranger)
    assert PRIVATE.private_numbers().d
    assert set(json.loads(keys_file.read_text())["keys"][0]) == {"kty", "kid", "alg", "n", "e"}


def forged(header: dict[str, str], claims: dict[str, object], secret: bytes) -> str:
    """Sign by hand what libraries refuse to sign."""
    import hashlib
    import hmac

    def part(value: object) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    signed = part(header) + b"." + part(claims)
    signature = hmac.new(secret, signed, hashlib.sha256).digest()
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def test_a_public_key_cannot_be_taken_for_a_secret(keys_file: Path) -> None:
    add_public_key(keys_file, "r1", PUBLIC_PEM)
    for secret in (PUBLIC_PEM, PUBLIC_PEM.strip(), b""):
        token = forged({"alg": "HS256", "typ": "JWT", "kid": "r1"}, claims_of("m01"), secret)
        assert "RS256 alone" in refusal(keys_file, token)


@pytest.mark.parametrize("algorithm", ["none", "None", "HS384", "HS512", "RS256", "ES256", ""])
def test_another_algorithm_is_refused(keys_file: Path, signer: Signer, algorithm: str) -> None:
    header = {"alg": algorithm, "typ": "JWT", "kid": "k1"}
    assert refusal(keys_file, forged(header, claims_of("m01"), signer.secret))
    unsigned = forged(header, claims_of("m01"), signer.secret).rpartition(".")[0] + "."
    assert refusal(keys_file, unsigned)


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"exp": 1}, "expired"),
        ({"exp": None}, "exp"),
        ({"iss": "https://other.example"}, "ssuer"),
        ({"aud": "another"}, "udience"),
        ({"aud": None}, "aud"),
        ({"sub": None}, "sub"),
        ({"sub": 7}, "ubject"),
        ({"sub": ""}, "not valid"),
        ({"sub": "a\0b"}, "not valid"),
        ({"nbf": 2**33}, "not yet valid"),
        ({"exp": 2**33}, "lives too long"),
        ({"exp": str(2**33)}, "lives too long"),
    ],
)
def test_what_a_token_says_is_checked(keys_file: Path, signer: Signer, claims: dict[str, object], told: str) -> None:
    said = {name: value for name, value in (claims_of("m01") | claims).items() if value is not None}
    token = forged({"alg": "HS256", "typ": "JWT", "kid": "k1"}, said, signer.secret)
    message = refusal(keys_file, token)
    assert told in message
    assert token not in message


def test_clocks_may_differ_a_little(keys_file: Path, signer: Signer) -> None:
    assert read(keys_file, signer.token("m01", exp=int(time.time()) - 20)).member_id == "m01"
    assert "expired" in refusal(keys_file, signer.token("m01", exp=int(time.time()) - 40))
    assert "expired" in refusal(
        keys_file, signer.token("m01", exp=int(time.time()) - 20), replace(RULES, leeway_seconds=0)
    )


@pytest.mark.parametrize("token", ["a.b.c", "..", "e30.e30.", "x" * 9000 + "..", "é.é.é"])
def test_rubbish_is_refused(keys_file: Path, signer: Signer, token: str) -> None:
    assert refusal(keys_file, token)


def test_without_an_issuer_no_token_is_taken(keys_file: Path, signer: Signer) -> None:
    assert "MEMBERWISE_JWT_ISSUER" in refusal(keys_file, signer.token("m01"), replace(RULES, issuer=""))


def test_keys_are_replaced_without_a_gap(keys_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.member_tokens.RELOAD_SECONDS", 0.0)
    old, now = Signer(keys_file, "old"), datetime.now(UTC)
    reader = TokenReader(keys_file, RULES)
    assert reader.read(old.token("m01"), now).key_id == "token:old"
    new = Signer(keys_file, "new")
    retire_key(keys_file, "old", now + timedelta(hours=1))
    for signer in (old, new):
        assert reader.read(signer.token("m01"), now).member_id == "m01"
    with pytest.raises(ProblemError):
        reader.read(old.token("m01", exp=int(time.time()) + 7200), now + timedelta(hours=1))
    with pytest.raises(ProblemError):
        reader.read(jwt.encode(claims_of("m01"), new.secret, "HS256"), now)
    keys_file.write_text("{ half")
    assert reader.read(new.token("m01"), now).member_id == "m01", "a damaged file leaves the keys as they are"


def test_a_token_without_a_key_id_is_taken_while_there_is_one_key(keys_file: Path, signer: Signer) -> None:
    assert read(keys_file, jwt.encode(claims_of("m01"), signer.secret, "HS256")).member_id == "m01"
    add_secret(keys_file, "k2")
    assert "key id" in refusal(keys_file, jwt.encode(claims_of("m01"), signer.secret, "HS256"))


def test_the_file_is_for_its_owner_and_takes_no_weak_or_private_keys(keys_file: Path) -> None:
    add_secret(keys_file, "k1")
    assert keys_file.stat().st_mode & 0o077 == 0
    with pytest.raises(ConflictError):
        add_secret(keys_file, "k1")
    with pytest.raises(NotFoundError):
        retire_key(keys_file, "k9", datetime.now(UTC))
    weak = rsa.generate_private_key(65537, 1024).public_key()
    for pem in (
        b"none",
        weak.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    ):
        with pytest.raises(InputError):
            add_public_key(keys_file, "r1", pem)
    private = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(PRIVATE))
    for entry in (
        {"kty": "oct", "kid": "k1", "alg": "HS256", "k": "c2hvcnQ"},
        {"kty": "oct", "kid": "k1", "alg": "none", "k": "c2hvcnQ" * 9},
        {"kty": "oct", "alg": "HS256", "k": "c2hvcnQ" * 9},
        {"kid": "r1", "alg": "RS256"} | private,
        {"kid": "e1", "alg": "ES256", "kty": "EC"},
    ):
        keys_file.write_text(json.dumps({"keys": [entry]}))
        with pytest.raises(SettingsError):
            read_keys(keys_file)
