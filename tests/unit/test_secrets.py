"""What is a secret, and that hiding and restoring it loses nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minisched.domain.secrets import MASK, is_secret_key, map_secrets, mask, secret_values, unmask


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "jwtToken",
        "awsSecretAccessKey",
        "awsSessionToken",
        "privateKey",
        "privateKeyPassphrase",
        "snowflakePrivatekeyPassphrase",
        "token",
        "personalAccessToken",
        "apiKey",
        "clientSecret",
        "sasToken",
        # What is meant for one of them, or means the same.
        *("pasword", "passwd", "passwrd", "passowrd", "psswd", "Passwort", "passcode", "pass_phrase", "tokne"),
        *("pwd", "PWD", "dbPwd", "userPWD", "pwd2", "pass", "Pass", "DB_PASS", "db-pass", "dbpass", "smtpPass", "pw"),
        *("X-API-Key", "private-key", "privKey", "sslKey", "basicAuthUserInfo", "authString", "credentials"),
        # The policy of passwords too: rather one value too many.
        "passwordPolicy",
    ],
)
def test_keys_that_name_secrets(key: str) -> None:
    assert is_secret_key(key)


@pytest.mark.parametrize(
    "key",
    [
        *(
            "secretsManagerProvider",
            "tokenUri",
            "username",
            "hostPort",
            "nextToken",
            "pageToken",
            "name",
            "description",
        ),
        *(
            "passThrough",
            "bypass",
            "byPass",
            "passed",
            "passedRows",
            "passing",
            "compass",
            "passRole",
            "OLDPWD",
            "pwdFile",
        ),
        *("tokenEndpoint", "maxTokens", "keyspace", "primaryKey", "partitionKey", "publicKey", "stopWords", "keyWord"),
        *("useCertificate", "useAwsCredentials", "credentialSource", "GOOGLE_APPLICATION_CREDENTIALS"),
    ],
)
def test_keys_that_do_not(key: str) -> None:
    assert not is_secret_key(key)


def test_whatever_an_application_calls_private_is_secret() -> None:
    document = {"appConfig": {"mode": "all"}, "appPrivateConfig": {"llm": {"endpoint": "x", "list": ["y"]}}}
    assert mask(document) == {
        "appConfig": {"mode": "all"},
        "appPrivateConfig": {"llm": {"endpoint": MASK, "list": [MASK]}},
    }


def test_a_secret_object_keeps_its_public_parts() -> None:
    document = {"authType": {"password": "p"}, "credentials": {"gcpConfig": {"projectId": "x", "privateKey": "k"}}}
    assert mask(document) == {
        "authType": {"password": MASK},
        "credentials": {"gcpConfig": {"projectId": "x", "privateKey": MASK}},
    }


_DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["password", "name", "jwtToken", "appPrivateConfig", "config"]), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(_DOCUMENTS)
def test_unmasking_what_was_masked_gives_it_back(document: Any) -> None:
    assert unmask(mask(document), document) == document


@given(_DOCUMENTS)
def test_no_secret_survives_the_mask(document: Any) -> None:
    assert set(secret_values(mask(document))) <= {MASK}


@given(_DOCUMENTS)
def test_a_change_of_secrets_can_be_undone(document: Any) -> None:
    there = map_secrets(document, lambda value: "x" + value)
    assert map_secrets(there, lambda value: value[1:]) == document
