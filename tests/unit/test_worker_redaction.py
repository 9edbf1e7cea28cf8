"""The worker's idea of a secret is the server's, and no form of one gets through."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from minisched.domain import secrets
from minisched.worker import redaction

_KEYS = st.sampled_from(
    [
        "password", "jwtToken", "secretKey", "secretsManagerProvider", "secretsManagerLoader", "tokenUri", "nextToken",
        "token", "privateKey", "awsAccessKeyId", "awsSecretAccessKey", "accessKey", "apiKey", "authorization",
        "connectionString", "sasToken", "extraHeaders", "appPrivateConfig", "username", "hostPort", "fernetKey", "x",
    ]
)  # fmt: skip
_VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.text())
_DOCUMENTS = st.recursive(
    _VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=20
)


@given(_DOCUMENTS)
def test_both_sides_find_the_same_secrets(document: object) -> None:
    assert list(redaction.secret_values(document)) == list(secrets.secret_values(document))


@given(_KEYS | st.text())
def test_both_sides_judge_keys_alike(key: str) -> None:
    assert redaction.is_secret_key(key) == secrets.is_secret_key(key)


def test_the_mask_is_the_same() -> None:
    assert redaction.MASK == secrets.MASK


def test_every_form_of_a_secret_is_removed() -> None:
    redactor = redaction.Redactor()
    redactor.learn({"password": 'p@ss w"ö/rd'})

    for text in ('p@ss w"ö/rd', "postgresql://u:p%40ss%20w%22%C3%B6%2Frd@h", json.dumps('p@ss w"ö/rd')):
        assert "rd" not in redactor.clean(text).replace("postgresql", "")


def test_lines_of_a_key_are_removed() -> None:
    redactor = redaction.Redactor()
    redactor.learn({"privateKey": "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\n-----END KEY-----"})

    assert redactor.clean("at MIIEvQIBADANBgkqhkiG9w0BAQ in") == "at ********* in"


def test_longer_secrets_win_over_their_parts() -> None:
    redactor = redaction.Redactor()
    redactor.learn([{"password": "abcd"}, {"token": "abcdefgh"}])

    assert redactor.clean("abcdefgh") == redaction.MASK


def test_very_short_values_do_not_black_out_the_log() -> None:
    redactor = redaction.Redactor()
    redactor.learn({"password": "a"})

    assert redactor.clean("banana") == "banana"


def test_documents_are_cleaned_deeply() -> None:
    redactor = redaction.Redactor()
    redactor.learn({"password": "hunter22"})

    assert redactor.clean_document({"a": ["x hunter22", 1, None]}) == {"a": ["x *********", 1, None]}
