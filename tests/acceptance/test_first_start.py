"""A server makes its first admin, lets in whom the command line has let in, and keeps passwords off open networks."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from minisched.cli.credentials import basic, bearer
from tests.acceptance.server_process import PIPELINES, RUNS, ServerProcess, server_process
from tests.certificates import self_signed
from tests.scripted_http import Asked, scripted_server
from tests.waiting import wait_until

AUDIT = "/api/v1/minisched/audit"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """Not started, and nobody has chosen a password."""
    with server_process(tmp_path, ADMIN_PASSWORD="") as server:
        del server.http.headers["authorization"]
        yield server


def minisched(
    server: ServerProcess, *arguments: str, stdin: str = "", **settings: str
) -> subprocess.CompletedProcess[str]:
    """The command line of whoever owns the data directory."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MINISCHED_")}
    ours = {"DATA_DIR": str(server.data), "SERVER__PORT": str(server.port), **settings}
    return subprocess.run(
        [sys.executable, "-m", "minisched", *arguments],
        env={**environment, **{f"MINISCHED_{name}": value for name, value in ours.items()}},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def done(answer: subprocess.CompletedProcess[str]) -> str:
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def code(server: ServerProcess, authorization: str | None, method: str = "GET", path: str = RUNS) -> int:
    headers = {"Authorization": authorization} if authorization else {}
    return server.http.request(method, path, headers=headers).status_code


def test_the_first_start_makes_an_admin_and_tells_the_password_once(server: ServerProcess) -> None:
    server.start(ready=False)
    server.wait_until_live()
    kept = server.data / "admin.password"
    password = kept.read_text()
    assert len(password) >= 20
    assert kept.stat().st_mode & 0o777 == 0o600
    assert server.output().count(password) == 1
    assert not any(password in json.dumps(event) for event in server.log())
    assert code(server, basic("admin", password)) == 200
    assert code(server, None) == 401
    server.terminate()
    server.start(ready=False)
    server.wait_until_live()
    assert kept.read_text() == password
    assert server.output().count(password) == 1
    assert code(server, basic("admin", password)) == 200


def test_a_first_start_that_was_cut_off_keeps_the_password_that_it_has_made(server: ServerProcess) -> None:
    server.data.mkdir(mode=0o700, exist_ok=True)
    (server.data / "admin.password").write_text("made before the cut")
    server.start(ready=False)
    server.wait_until_live()
    assert code(server, basic("admin", "made before the cut")) == 200


def test_a_password_may_be_chosen_and_is_then_kept_nowhere(tmp_path: Path) -> None:
    with server_process(tmp_path, ADMIN_PASSWORD="ch0sen by a container") as server:
        server.start(ready=False)
        server.wait_until_live()
        assert code(server, basic("admin", "ch0sen by a container")) == 200
        assert not (server.data / "admin.password").exists()
        assert "ch0sen by a container" not in server.output()


def test_whoever_reads_the_data_directory_is_let_in_and_manages_the_others(server: ServerProcess) -> None:
    server.start(ready=False)
    server.wait_until_live()
    server.http.headers["authorization"] = basic("admin", (server.data / "admin.password").read_text())
    server.wait_until_warm()
    server.make_service()
    pipeline = server.deployed()
    assert "nightly" in done(minisched(server, "pipeline", "list"))
    made = json.loads(done(minisched(server, "user", "add", "ann", "--role", "operator", "--json")))
    ann = basic("ann", made["password"])
    assert code(server, ann) == 200
    assert code(server, ann, "POST", f"{PIPELINES}/trigger/{pipeline['id']}") == 200
    assert code(server, ann, "POST", f"{PIPELINES}/deploy/{pipeline['id']}") == 403
    done(minisched(server, "user", "role", "ann", "viewer"))
    wait_until(lambda: code(server, ann, "POST", f"{PIPELINES}/trigger/{pipeline['id']}") == 403, timeout_s=5)
    done(minisched(server, "user", "passwd", "ann", "--password-stdin", stdin="another one\n"))
    wait_until(lambda: code(server, ann) == 401, timeout_s=5)
    assert code(server, basic("ann", "another one")) == 200
    done(minisched(server, "user", "remove", "ann"))
    wait_until(lambda: code(server, basic("ann", "another one")) == 401, timeout_s=5)
    rows = json.loads(done(minisched(server, "audit", "--json")))
    told = [(row["operation"], row["touched"]) for row in rows if row["via"] == "shell"]
    assert told == [
        ("user remove", "user ann"),
        ("user passwd", "user ann"),
        ("user role", "user ann, viewer"),
        ("user add", "user ann, operator"),
    ]
    assert ("ann", "trigger_pipeline") in [(row["user"], row["operation"]) for row in rows]


def test_tokens_are_printed_once_listed_by_their_beginning_and_revoked(server: ServerProcess) -> None:
    server.start(ready=False)
    server.wait_until_live()
    token = done(minisched(server, "token", "create", "ci", "--role", "viewer", "--expires", "12h")).strip()
    assert token.startswith("minisched_")
    assert code(server, bearer(token)) == 200
    listed = done(minisched(server, "token", "list"))
    assert token not in listed
    assert token[:16] in listed
    (entry,) = json.loads(done(minisched(server, "token", "list", "--json")))
    assert entry["expiresAt"] - entry["createdAt"] == 12 * 3600 * 1000
    assert "nothing" not in done(minisched(server, "pipeline", "list", TOKEN=token))
    done(minisched(server, "token", "revoke", "ci"))
    wait_until(lambda: code(server, bearer(token)) == 401, timeout_s=5)
    refused = minisched(server, "pipeline", "list", TOKEN=token)
    assert refused.returncode == 1
    assert "minisched token create" in refused.stderr


def test_the_command_line_shows_no_stranger_the_password(server: ServerProcess) -> None:
    server.start(ready=False)
    server.wait_until_live()
    heard: list[Asked] = []

    def answer(asked: Asked) -> tuple[int, Any]:
        heard.append(asked)
        return 401, {"code": 401, "message": "Not authorized!"}

    with scripted_server(answer) as stranger:
        refused = minisched(server, "--url", stranger.url, "pipeline", "list")
        assert refused.returncode == 1
        assert "MINISCHED_TOKEN" in refused.stderr
    assert [asked.headers.get("authorization") for asked in heard] == [None]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["user", "remove", "admin"], 1, "only admin"),
        (["user", "role", "admin", "viewer"], 1, "only admin"),
        (["user", "add", "admin"], 1, "already"),
        (["user", "add", "a:b"], 2, "no colon"),
        (["user", "passwd", "nobody"], 3, "no user nobody"),
        (["user", "add", "bob", "--password-stdin"], 2, "no password on standard input"),
        (["token", "create", "x", "--user", "nobody"], 3, "no user nobody"),
        (["token", "create", "x", "--expires", "soon"], 2, "such as 12h"),
        (["token", "revoke", "x"], 3, "no token x"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    managed: ServerProcess, arguments: list[str], code: int, words: str
) -> None:
    answer = minisched(managed, *arguments)
    assert answer.returncode == code, answer.stderr
    assert words.lower() in answer.stderr.lower()
    assert "Traceback" not in answer.stderr


@pytest.fixture(scope="module")
def managed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A database with an admin; its server has stopped."""
    with server_process(tmp_path_factory.mktemp("managed")) as server:
        server.start(ready=False)
        server.wait_until_live()
        server.terminate()
        yield server


def test_without_a_database_of_this_version_nobody_is_added(server: ServerProcess) -> None:
    answer = minisched(server, "user", "add", "ann")
    assert answer.returncode == 2
    assert "minisched db upgrade" in answer.stderr


def test_users_may_be_there_before_the_first_start(server: ServerProcess) -> None:
    done(minisched(server, "db", "upgrade"))
    done(minisched(server, "user", "add", "root", "--role", "admin", "--password-stdin", stdin="chosen before\n"))
    server.start(ready=False)
    server.wait_until_live()
    assert code(server, basic("root", "chosen before")) == 200
    assert not (server.data / "admin.password").exists()


# --- networks ---------------------------------------------------------------------------------------------------------


def test_it_does_not_listen_on_a_network_in_clear(server: ServerProcess) -> None:
    refused = minisched(server, "serve", SERVER__HOST="0.0.0.0")
    assert refused.returncode == 2
    assert "server.tls_cert_file" in refused.stderr
    assert "server.behind_proxy" in refused.stderr


def test_it_serves_with_tls_to_everybody_and_its_command_line_trusts_the_certificate(
    server: ServerProcess, tmp_path: Path
) -> None:
    _, certificate = self_signed(tmp_path)
    tls = {"SERVER__TLS_CERT_FILE": str(certificate), "SERVER__TLS_KEY_FILE": str(tmp_path / "key.pem")}
    server.start(ready=False, SERVER__HOST="0.0.0.0", **tls)
    wait_until(lambda: server.logged("server.ready"), timeout_s=60)
    password = (server.data / "admin.password").read_text()
    url = server.url.replace("http:", "https:")
    with httpx.Client(
        base_url=url, verify=ssl.create_default_context(cafile=certificate), trust_env=False, auth=("admin", password)
    ) as http:
        wait_until(lambda: _is_live(http), timeout_s=30)
        assert http.get(RUNS).status_code == 200
    listed = done(minisched(server, "runs", "list", "--json", SERVER__HOST="0.0.0.0", **tls))
    assert json.loads(listed) == []
    with pytest.raises(httpx.TransportError):
        server.http.get(RUNS)


def _is_live(http: httpx.Client) -> bool:
    try:
        return http.get("/health/live").status_code == 200
    except httpx.TransportError:
        return False


def test_a_certificate_that_cannot_be_used_is_said_with_its_setting(server: ServerProcess, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    server.start(ready=False, SERVER__TLS_CERT_FILE=str(wrong), SERVER__TLS_KEY_FILE=str(wrong))
    assert server.wait_for_death() == 2
    assert "server.tls_cert_file" in server.output()
    assert "Traceback" not in server.output()


# --- tokens of an OpenMetadata server ---------------------------------------------------------------------------------


def test_tokens_that_an_openmetadata_server_has_signed_are_accepted(server: ServerProcess) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    published = {"keys": [RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "k1"}]}

    def token(**claims: Any) -> str:
        usual = {"iss": "open-metadata.org", "sub": "ann", "isBot": False, "exp": int(time.time()) + 60}
        return bearer(jwt.encode({**usual, **claims}, key, algorithm="RS256", headers={"kid": "k1"}))

    with scripted_server(lambda _: (200, published)) as openmetadata:
        server.start(
            ready=False,
            AUTH__OPENMETADATA_JWKS_URL=f"{openmetadata.url}/api/v1/system/config/jwks",
            AUTH__OPENMETADATA_ROLES='{"Admin": "admin"}',
        )
        server.wait_until_live()
        assert code(server, token()) == 200
        assert code(server, token(), "POST", PIPELINES) == 403
        assert code(server, token(roles=["Admin"]), "POST", PIPELINES) == 400
        assert code(server, token(sub="ingestion-bot", isBot=True), "GET", AUDIT) == 403
        assert code(server, token(exp=1)) == 401
    assert code(server, token()) == 200  # its keys are known by now
