"""The worker's idea of a secret is the server's, and no form of one gets through."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from minisched.domain import secrets
from minisched.worker import redaction

_KEYS = st.sampled_from(
    [
        "password", "jwtToken", "secretKey", "secretsManagerProvider", "secretsManagerLoader", "tokenUri", "nextToken",
        "token", "privateKey", "awsAccessKeyId", "awsSecretAccessKey", "accessKey", "apiKey", "authorization",
        "connectionString", "sasToken", "extraHeaders", "appPrivateConfig", "username", "hostPort", "fernetKey", "x",
        "pasword", "dbPwd", "pass", "bypass", "PWD", "credentials", "sslKey", "user_pass1", "X-API-Key",
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


_ERROR = (
    "2 validation errors for Connection\n"
    "authType.pasword\n"
    "  Extra inputs are not permitted [type=extra_forbidden, input_value={}, input_type={}]\n"
    "    For further information visit https://errors.pydantic.dev/2.11/v/extra_forbidden\n"
    "port\n"
    "  Input should be a valid integer [type=int_parsing, input_value='x', input_type=str]\n"
)


@pytest.mark.parametrize(
    "value",
    [
        "'HUNTER2HUNTER2'",
        "'HUNTER2HUNTER2HUNTER2HUNT...2HUNTER2HUNTER2HUNTER2'",
        "{'a': {'pasword': 'HUNTER2'}, 'b': ['HUNTER2', 1]}",
        "Frame(\n  HUNTER2,\n  HUNTER2)",
        "'x, input_type=str] HUNTER2'",
        '"it\'s HUNTER2"',
    ],
    ids=["plain", "abbreviated", "nested", "of several lines", "like its own end", "quoted otherwise"],
)
def test_what_pydantic_says_of_an_input_is_hidden(value: str) -> None:
    cleaned = redaction.Redactor().clean(_ERROR.format(value, "str"))

    assert cleaned == _ERROR.format(redaction.MASK, "str").replace("'x'", redaction.MASK)


def test_a_real_error_of_pydantic_is_hidden() -> None:
    class Connection(BaseModel):
        model_config = ConfigDict(extra="forbid")

    with pytest.raises(ValidationError) as raised:
        Connection.model_validate({"pasword": "HUNTER2" * 10, "login": {"pasword": "HUNTER2"}})

    assert "HUNTER2" in str(raised.value)
    for text in (str(raised.value), json.dumps(str(raised.value)), repr(str(raised.value))):
        assert "HUNTER2" not in redaction.hide_inputs(text)
        assert "extra_forbidden" in redaction.hide_inputs(text)


def test_an_input_without_its_end_hides_the_rest_of_the_line() -> None:
    assert redaction.hide_inputs("input_value='HUNTER2") == "input_value=" + redaction.MASK
    assert redaction.hide_inputs("f(input_value=x)\nnext line") == f"f(input_value={redaction.MASK}\nnext line"


def test_other_text_stays_as_it_is() -> None:
    assert redaction.hide_inputs("input_type=str, input values") == "input_type=str, input values"
