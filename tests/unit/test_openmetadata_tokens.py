"""Tokens that an OpenMetadata server has signed: whose they are, and which are none."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from minisched.clients.openmetadata_tokens import KeysOfUrl, OpenMetadataTokens, key_of_file
from minisched.domain.access import Principal, Role
from minisched.domain.errors import ConfigurationError, OrchestratorUnavailable, Unauthenticated

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ISSUER = "open-metadata.org"


def signed(key: Any = KEY, kid: str = "k1", algorithm: str = "RS256", **claims: Any) -> str:
    """As its JWTTokenGenerator makes them; a claim of None is left out."""
    usual = {"iss": ISSUER, "sub": "ann", "email": "ann@example.org", "isBot": False, "tokenType": "OM_USER"}
    usual |= {"iat": int(time.time()), "exp": int(time.time()) + 60}
    payload = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": kid})


def verifier(key_of: Callable[[str | None], Any] = lambda _: KEY.public_key(), **roles: Role) -> OpenMetadataTokens:
    return OpenMetadataTokens(key_of, issuer=ISSUER, roles=roles, role=Role.VIEWER)


def test_a_person_has_everybodys_role_or_a_greater_one() -> None:
    tokens = verifier(Admin=Role.ADMIN, Steward=Role.OPERATOR)
    assert tokens.verify(signed()) == Principal("ann", Role.VIEWER, "jwt")
    assert tokens.verify(signed(roles=["DataConsumer", "Steward"])) == Principal("ann", Role.OPERATOR, "jwt")
    assert tokens.verify(signed(roles=["Steward", "Admin"])) == Principal("ann", Role.ADMIN, "jwt")
    assert tokens.verify(signed(roles="Admin")) == Principal("ann", Role.VIEWER, "jwt")


def test_a_bot_is_a_bot_whatever_roles_it_claims_and_its_token_need_not_expire() -> None:
    token = signed(sub="ingestion-bot", isBot=True, tokenType="BOT", exp=None, roles=["Admin"])
    assert verifier(Admin=Role.ADMIN).verify(token) == Principal("ingestion-bot", Role.BOT, "jwt")


def test_what_is_no_jwt_is_somebody_elses() -> None:
    assert verifier().verify("minisched_abc") is None


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (signed(exp=int(time.time()) - 1), "Expired token"),
        (signed(key=OTHER), "Signature verification failed"),
        (signed(iss="somebody.else"), "issuer"),
        (signed(iss=None), "iss"),
        (signed(sub=None), "nobody"),
        (jwt.encode({"sub": "ann", "iss": ISSUER}, "x" * 32, algorithm="HS256"), "RS256"),
        (jwt.encode({"sub": "ann", "iss": ISSUER}, "", algorithm="none"), "RS256"),
    ],
)
def test_a_token_that_does_not_hold_is_refused(token: str, words: str) -> None:
    with pytest.raises(Unauthenticated, match=words):
        verifier().verify(token)


def test_the_public_key_is_no_secret_of_hmac() -> None:
    """The old trick: sign with the public key, and say that it was HMAC."""
    import base64
    import hashlib
    import hmac

    def part(document: Any) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=")

    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    body = part({"alg": "HS256", "kid": "k1"}) + b"." + part({"sub": "root", "iss": ISSUER})
    signature = base64.urlsafe_b64encode(hmac.digest(public, body, hashlib.sha256)).rstrip(b"=")
    with pytest.raises(Unauthenticated):
        verifier().verify((body + b"." + signature).decode())


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_a_key_in_a_file(tmp_path: Path, encoding: Encoding) -> None:
    path = tmp_path / "public_key"
    path.write_bytes(KEY.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo))
    assert verifier(key_of_file(path)).verify(signed()) == Principal("ann", Role.VIEWER, "jwt")


def test_a_file_that_is_no_key_is_said_with_its_setting(tmp_path: Path) -> None:
    path = tmp_path / "public_key"
    path.write_text("not a key")
    with pytest.raises(ConfigurationError, match=r"auth\.openmetadata_public_key_file"):
        key_of_file(path)


class Published:
    """A JWKS endpoint, and how often it was asked."""

    def __init__(self, **keys: Any) -> None:
        self.keys = keys
        self.asked = 0
        self.status = 200

    def answer(self, _: httpx.Request) -> httpx.Response:
        self.asked += 1
        found = [RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid} for kid, key in self.keys.items()]
        return httpx.Response(self.status, json={"keys": found})


class Now:
    s = 0.0

    def __call__(self) -> float:
        return self.s


def keys_of(published: Published, now: Now) -> KeysOfUrl:
    return KeysOfUrl("http://om:8585/api/v1/system/config/jwks", transport=httpx_transport(published), now_s=now)


def httpx_transport(published: Published) -> httpx.MockTransport:
    return httpx.MockTransport(published.answer)


def test_keys_are_asked_for_once_and_again_when_one_is_new() -> None:
    published, now = Published(k1=KEY), Now()
    tokens = verifier(keys_of(published, now))
    assert [tokens.verify(signed()) for _ in range(3)] == [Principal("ann", Role.VIEWER, "jwt")] * 3
    assert published.asked == 1
    published.keys["k2"] = OTHER
    now.s = 31
    assert tokens.verify(signed(key=OTHER, kid="k2")) == Principal("ann", Role.VIEWER, "jwt")
    assert published.asked == 2


def test_invented_names_of_keys_do_not_make_us_ask_all_the_time() -> None:
    published, now = Published(k1=KEY), Now()
    tokens = verifier(keys_of(published, now))
    for number in range(20):
        with pytest.raises(Unauthenticated, match="Public key mismatch"):
            tokens.verify(signed(kid=f"invented {number}"))
    assert published.asked == 1


def test_known_keys_hold_while_their_server_is_away_and_withdrawn_ones_end() -> None:
    published, now = Published(k1=KEY), Now()
    tokens = verifier(keys_of(published, now))
    tokens.verify(signed())
    published.status, now.s = 500, 3601
    assert tokens.verify(signed()) == Principal("ann", Role.VIEWER, "jwt")
    published.status, now.s = 200, 2 * 3601
    del published.keys["k1"]
    published.keys["k2"] = OTHER
    with pytest.raises(Unauthenticated, match="Public key mismatch"):
        tokens.verify(signed())


def test_keys_that_cannot_be_had_are_nobodys_wrong_guess() -> None:
    published, now = Published(k1=KEY), Now()
    published.status = 503
    tokens = verifier(keys_of(published, now))
    for _ in range(2):
        with pytest.raises(OrchestratorUnavailable, match="503"):
            tokens.verify(signed())
    published.status, now.s = 200, 31
    assert tokens.verify(signed()) == Principal("ann", Role.VIEWER, "jwt")
