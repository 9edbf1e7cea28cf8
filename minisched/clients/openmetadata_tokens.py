"""Bearer tokens that an OpenMetadata server has signed (its JWTTokenGenerator: RS256; sub, isBot, roles, exp)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import jwt
from jwt import PyJWK, PyJWKSet
from jwt.exceptions import InvalidTokenError, PyJWKError, PyJWKSetError

from minisched.domain.access import PEOPLE, Principal, Role
from minisched.domain.errors import ConfigurationError, OrchestratorUnavailable, Unauthenticated

_ALGORITHMS = ("RS256", "RS384", "RS512")
_TIMEOUT_S = 5.0
# A key that is not known is asked for at most this often, whoever invents names of keys.
_ASK_EVERY_S = 30.0
_KEEP_S = 3600.0

KeyOf = Callable[[str | None], Any]


class OpenMetadataTokens:
    """Implements `ports.JwtVerifier`.

    `key_of` finds the public key by the `kid` of a token, None when there is none. `roles` maps names in the token's
    `roles` claim to roles here, `role` is everybody's, and bots are bots.
    """

    def __init__(self, key_of: KeyOf, *, issuer: str | None, roles: Mapping[str, Role], role: Role) -> None:
        self._key_of = key_of
        self._issuer = issuer
        self._roles = roles
        self._role = role

    def verify(self, token: str) -> Principal | None:
        try:
            header = jwt.get_unverified_header(token)
        except InvalidTokenError:
            return None
        if header.get("alg") not in _ALGORITHMS:
            raise Unauthenticated("Not authorized! Invalid token: it is not signed with RS256.")
        key = self._key_of(header.get("kid"))
        if key is None:
            raise Unauthenticated("Not authorized! Invalid token. Token verification failed. Public key mismatch.")
        return self._principal(_claims(token, key, self._issuer))

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        name = str(claims.get("sub") or "")
        if not name:
            raise Unauthenticated("Not authorized! Invalid token: it names nobody.")
        if claims.get("isBot") is True:
            return Principal(name, Role.BOT, "jwt")
        named = claims.get("roles")
        found = [self._roles[text] for text in named if text in self._roles] if isinstance(named, list) else []
        return Principal(name, max([self._role, *found], key=PEOPLE.index), "jwt")


def _claims(token: str, key: Any, issuer: str | None) -> Mapping[str, Any]:
    try:
        claims: Mapping[str, Any] = jwt.decode(
            token, key, algorithms=_ALGORITHMS, issuer=issuer, options={"verify_aud": False, "verify_iat": False}
        )
    except jwt.ExpiredSignatureError:
        raise Unauthenticated("Not authorized! Expired token!") from None
    except InvalidTokenError as error:
        raise Unauthenticated(f"Not authorized! Invalid token: {error}") from None
    return claims


def key_of_file(path: Path) -> KeyOf:
    """The one public key of a file in PEM, or in DER as OpenMetadata has it. Raises ConfigurationError."""
    from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

    try:
        content = path.read_bytes()
        key = load_pem_public_key(content) if content.lstrip().startswith(b"-----") else load_der_public_key(content)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path} is not a public key: {error}", field="auth.openmetadata_public_key_file"
        ) from error
    return lambda _: key


class KeysOfUrl:
    """The keys that a server publishes (JWKS), asked when one is not known, and anew now and then."""

    def __init__(
        self,
        url: str,
        *,
        transport: httpx.BaseTransport | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._transport = transport
        self._now_s = now_s
        self._lock = threading.Lock()
        self._keys: dict[str | None, PyJWK] = {}
        self._problem: Exception | None = None
        self._asked_s: float | None = None

    def __call__(self, kid: str | None) -> Any:
        """Raises OrchestratorUnavailable when the keys are not known and cannot be had."""
        with self._lock:
            age_s = None if self._asked_s is None else self._now_s() - self._asked_s
            if age_s is None or age_s > _KEEP_S or (kid not in self._keys and age_s > _ASK_EVERY_S):
                self._ask()
            if not self._keys:
                raise OrchestratorUnavailable(
                    f"The keys of OpenMetadata's tokens cannot be had from {self._url}: {self._problem}",
                    hint="See auth.openmetadata_jwks_url.",
                )
            found = self._keys.get(kid)
        return None if found is None else found.key

    def _ask(self) -> None:
        """What was known stays known while the server is away."""
        self._asked_s = self._now_s()
        try:
            with httpx.Client(timeout=_TIMEOUT_S, transport=self._transport) as client:
                document = client.get(self._url).raise_for_status().json()
            self._keys = {key.key_id: key for key in PyJWKSet.from_dict(document).keys}
        except (httpx.HTTPError, ValueError, AttributeError, PyJWKError, PyJWKSetError) as error:
            self._problem = error
