"""Settings from files and the environment: precedence, origins, refusals that never show a value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from minisched.domain.errors import ConfigurationError
from minisched.settings import Settings, load_settings, setting_values

CANARY = "canary-value-4711"
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

WriteFile = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> WriteFile:
    def write_file(text: str) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return path

    return write_file


def refusal(path: Path | None = None, /, **environ: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        load_settings(path, {"HOME": "/nowhere", **environ})
    return str(raised.value)


def test_defaults_need_no_file_and_no_environment(tmp_path: Path) -> None:
    settings = load_settings(None, {"XDG_DATA_HOME": str(tmp_path)})

    assert settings.server.port == 8580
    assert settings.data_dir == tmp_path / "minisched"
    assert settings.database_url.get_secret_value() == f"sqlite:///{tmp_path}/minisched/minisched.db"
    assert settings.runtimes_directory == tmp_path / "minisched" / "runtimes"
    assert settings.secret_key_file == tmp_path / "minisched" / "secret.key"
    assert {value.source for value in setting_values(settings)} == {"default"}


def test_the_environment_wins_over_the_file_setting_by_setting(write: WriteFile) -> None:
    file = write("server:\n  port: 9000\n  host: 127.0.0.2\nexecutor:\n  slots: 2\n")

    settings = load_settings(file, {"MINISCHED_SERVER__PORT": "9100", "MINISCHED_SANDBOX__ENABLED": "false"})

    assert (settings.server.port, settings.server.host, settings.executor.slots) == (9100, "127.0.0.2", 2)
    assert settings.sandbox.enabled is False
    sources = {value.name: value.source for value in setting_values(settings)}
    assert sources["server.port"] == "env MINISCHED_SERVER__PORT"
    assert sources["server.host"] == f"{file}:3"
    assert sources["executor.slots"] == f"{file}:5"
    assert sources["executor.nice"] == "default"


def test_settings_built_in_code_read_neither_file_nor_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINISCHED_SERVER__PORT", "9100")

    assert Settings(data_dir=tmp_path).server.port == 8580


def test_settings_and_their_sections_are_frozen(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)

    with pytest.raises(ValidationError, match="frozen"):
        settings.server.port = 1  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        settings.client = "noop"  # type: ignore[misc]


class TestWhichFile:
    def test_the_argument_comes_before_the_variable_and_the_variable_before_the_usual_place(
        self, tmp_path: Path
    ) -> None:
        places = [tmp_path / name for name in ("argument.yaml", "variable.yaml", "config.yaml")]
        for port, place in enumerate(places, start=1):
            place.write_text(f"server: {{port: {port}}}")
        environ = {"MINISCHED_DATA_DIR": str(tmp_path)}

        assert load_settings(None, environ).server.port == 3
        environ["MINISCHED_CONFIG"] = str(places[1])
        assert load_settings(None, environ).server.port == 2
        assert load_settings(places[0], environ).server.port == 1

    def test_a_file_that_was_asked_for_has_to_exist(self, tmp_path: Path) -> None:
        missing = tmp_path / "missing.yaml"

        assert f"{missing} of --config does not exist" in refusal(missing)
        assert f"{missing} of MINISCHED_CONFIG does not exist" in refusal(MINISCHED_CONFIG=str(missing))
        assert "is not a file" in refusal(tmp_path)
        assert "minisched config example" in refusal(missing)

    def test_an_empty_file_means_defaults(self, write: WriteFile) -> None:
        assert load_settings(write("# nothing\n"), {}).server.port == 8580
        assert load_settings(write("server:\nexecutor: {}\n"), {}).server.port == 8580

    def test_a_file_that_cannot_be_read_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "config.yaml"
        path.write_bytes(b"server: {host: \xff}")

        assert "not UTF-8" in refusal(path)


class TestUnknownNames:
    def test_in_the_file_with_line_and_proposal(self, write: WriteFile) -> None:
        file = write("client: local\nserver:\n  prot: 1\n")

        text = refusal(file)

        assert f"server.prot ({file}:3)" in text
        assert "Did you mean server.port?" in text

    def test_a_whole_section(self, write: WriteFile) -> None:
        text = refusal(write("\nservre:\n  port: 1\n"))

        assert ":2): there is no such setting. Did you mean server?" in text

    def test_an_unknown_section_without_content(self, write: WriteFile) -> None:
        assert "there is no such setting" in refusal(write("servre:\n"))

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("MINISCHED_SERVER__PROT", "MINISCHED_SERVER__PORT"),
            ("MINISCHED_SERVER_PORT", "MINISCHED_SERVER__PORT"),
            ("MINISCHED_DATADIR", "MINISCHED_DATA_DIR"),
            ("MINISCHED_SANDBOX", "MINISCHED_SANDBOX__ENABLED"),
            ("MINISCHED_server__port", "MINISCHED_SERVER__PORT"),
        ],
    )
    def test_in_the_environment(self, name: str, meant: str) -> None:
        assert f"env {name}: there is no such setting. Did you mean {meant}?" in refusal(None, **{name: "1"})

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("MINISCHED_SERVICE_HOST", "10.0.0.1"),
            ("MINISCHED_SERVICE_PORT", "8580"),
            ("MINISCHED_SERVICE_PORT_HTTP", "8580"),
            ("MINISCHED_PORT", "tcp://10.0.0.1:8580"),
            ("MINISCHED_PORT_8580_TCP_ADDR", "10.0.0.1"),
            ("MINISCHED_SERVER_PORT", "tcp://10.0.0.1:8580"),
            ("MINISCHED_URL", "http://127.0.0.1:8580"),
            ("MINISCHED_RUN_ID", "5ad0cbf1-1d0f-44a1-a2ec-7ddb1d6a6a4f"),
            ("MINISCHED_TEST_RUNTIME", "/usr/bin/python3"),
        ],
    )
    def test_what_others_put_into_the_environment_is_left_alone(self, name: str, value: str) -> None:
        assert load_settings(None, {"HOME": "/nowhere", name: value}).server.port == 8580


class TestBadValues:
    @pytest.mark.parametrize(
        ("text", "name", "complaint"),
        [
            (f"server:\n  port: {CANARY}", "server.port", "valid integer"),
            ("server:\n  port: 70000", "server.port", "65535"),
            (f"executor:\n  drain: {CANARY}", "executor.drain", "'leave', 'wait' or 'stop'"),
            ("executor:\n  slots: 0", "executor.slots", "greater than or equal to 1"),
            ("outbox:\n  max_delay_s: .nan", "outbox.max_delay_s", "finite"),
            (f"openmetadata:\n  jwt_token: [{CANARY}]", "openmetadata.jwt_token", "valid string"),
            (f"openmetadata:\n  host_port: {CANARY}", "openmetadata.host_port", "http://openmetadata:8585"),
            (f"server:\n  public_url: http://u:{CANARY}@host", "server.public_url", "no user and no password"),
            (f"database:\n  url: {CANARY}", "database.url", "postgresql+psycopg://user:password@host/database"),
            (f"secrets:\n  key: {CANARY}", "secrets.key", "Fernet key"),
            (f"host_ip: {CANARY}", "host_ip", "IPv4 or IPv6"),
            (f"server: {CANARY}", "server", "should hold settings"),
            (f"server:\n- {CANARY}", "server", "should hold settings"),
            (f"runtime:\n  workflow_classes: {{metadata: '{CANARY}'}}", "runtime.workflow_classes", "module:Class"),
            ("runtime:\n  workflow_classes: {metdata: 'a:B'}", "runtime.workflow_classes", "no pipelineType"),
            ("runtime:\n  environment: {DEBUG: 1}", "runtime.environment.DEBUG", "valid string"),
            ("openmetadata: {verify_ssl: validate}", "openmetadata", "needs openmetadata.ca_file"),
            ("airflow: {username: 'a:b'}", "airflow.username", "should hold no colon"),
            ("airflow: {verify_ssl: false, ca_file: ca.pem}", "airflow", "not both"),
            ("outbox: {first_delay_s: 400}", "outbox", "should not be longer than outbox.max_delay_s"),
            (f"secrets: {{key: {KEY}, key_file: /k}}", "secrets", "not both"),
        ],
    )
    def test_in_the_file_are_named_with_their_line_and_never_shown(
        self, write: WriteFile, text: str, name: str, complaint: str
    ) -> None:
        file = write(f"\n{text}\n")

        message = refusal(file)

        assert message.startswith(f"{name} ({file}:")
        assert complaint in message
        assert CANARY not in message

    @pytest.mark.parametrize("rest", ["", "airflow: {url: http://airflow}\n", f"airflow: {{password: {CANARY}}}\n"])
    def test_an_airflow_has_to_be_named_to_be_used(self, write: WriteFile, rest: str) -> None:
        message = refusal(write(f"client: airflow\n{rest}"))

        assert "client: airflow needs airflow.url and airflow.password" in message
        assert CANARY not in message

    def test_in_the_environment_are_named_by_their_variable(self) -> None:
        message = refusal(MINISCHED_SERVER__PORT=CANARY)

        assert message.startswith("server.port (env MINISCHED_SERVER__PORT): should be a valid integer")
        assert CANARY not in message

    def test_all_of_them_are_told_at_once(self, write: WriteFile) -> None:
        message = refusal(write("server: {port: x}\nclient: airflw\nlanucher: {}\n"), MINISCHED_HOST_IP="x")

        assert [line.partition(" ")[0].rstrip(":") for line in message.splitlines()] == [
            "server.port",
            "client",
            "host_ip",
            "lanucher",
        ]

    @pytest.mark.parametrize(
        "text",
        [
            f"secrets:\n  key: *{CANARY}\n",
            f"openmetadata:\n  jwt_token: !{CANARY} x\n",
            f'openmetadata:\n  jwt_token: "{CANARY}\n',
            f"openmetadata:\n  jwt_token: @{CANARY}\n",
            f"openmetadata: {{jwt_token: {CANARY}: {{}}\n",
        ],
    )
    def test_text_that_is_no_yaml_is_refused_without_quoting_it(self, write: WriteFile, text: str) -> None:
        file = write(text)

        message = refusal(file)

        assert f"{file}:" in message
        assert "this is not YAML" in message
        assert CANARY not in message

    def test_a_file_that_is_no_mapping_is_refused(self, write: WriteFile) -> None:
        assert "should hold names and values" in refusal(write(f"- {CANARY}\n"))

    def test_a_setting_that_stands_there_twice_is_refused(self, write: WriteFile) -> None:
        file = write("server:\n  port: 1\n  host: a\n  port: 2\n")

        assert f"server.port ({file}:4): this setting stands in the file twice" in refusal(file)

    def test_an_anchor_that_holds_itself_is_refused(self, write: WriteFile) -> None:
        assert "runtime.environment" in refusal(write("runtime: &loop\n  environment: {a: *loop}\n"))


class TestListsAndMaps:
    def test_lists_are_split_at_commas(self, tmp_path: Path) -> None:
        settings = load_settings(None, {"HOME": "/h", "MINISCHED_RUNTIME__PYTHON_PATH": f"{tmp_path}/a, {tmp_path}/b,"})

        assert settings.runtime.python_path == (tmp_path / "a", tmp_path / "b")

    def test_relative_paths_of_a_file_start_where_the_file_is(self, write: WriteFile, tmp_path: Path) -> None:
        file = write("data_dir: data\nruntime: {python_path: [mine, /theirs]}\nsecrets: {key_file: ../k}\n")

        settings = load_settings(file, {})

        assert settings.data_dir == tmp_path / "data"
        assert settings.runtime.python_path == (tmp_path / "mine", Path("/theirs"))
        assert settings.secrets.key_file == tmp_path.parent / "k"

    def test_a_map_is_json_or_one_variable_per_entry_with_its_case_kept(self, write: WriteFile) -> None:
        file = write("runtime:\n  environment: {TZ: UTC}\n")

        settings = load_settings(
            file,
            {
                "MINISCHED_RUNTIME__ENVIRONMENT__http_proxy": "http://proxy:3128",
                "MINISCHED_RUNTIME__WORKFLOW_CLASSES": '{"autoClassification": "mine.classify:Workflow"}',
            },
        )

        assert settings.runtime.environment == {"TZ": "UTC", "http_proxy": "http://proxy:3128"}
        assert settings.runtime.workflow_classes == {"autoClassification": "mine.classify:Workflow"}
        assert settings.origin("runtime.environment") == f"{file}:2, env MINISCHED_RUNTIME__ENVIRONMENT__http_proxy"

    def test_a_map_that_is_no_json_is_refused_without_showing_it(self) -> None:
        message = refusal(MINISCHED_RUNTIME__ENVIRONMENT=CANARY)

        assert "runtime.environment (env MINISCHED_RUNTIME__ENVIRONMENT): should be a JSON object" in message
        assert CANARY not in message

    def test_an_empty_variable_counts_as_not_set(self, write: WriteFile) -> None:
        settings = load_settings(write("host_ip: 10.0.0.1\n"), {"MINISCHED_HOST_IP": ""})

        assert settings.host_ip == "10.0.0.1"

    def test_a_merge_key_brings_its_settings_along(self, write: WriteFile) -> None:
        settings = load_settings(write("server:\n  <<: {port: 9001}\n  host: localhost\n"), {})

        assert (settings.server.port, settings.server.host) == (9001, "localhost")


class TestSecrets:
    def test_show_up_nowhere(self, write: WriteFile) -> None:
        file = write(
            f"database: {{url: 'postgresql://u:{CANARY}@h/d'}}\nopenmetadata: {{jwt_token: {CANARY}}}\n"
            f"runtime: {{environment: {{DB_PASSWORD: {CANARY}, TZ: UTC}}}}\n"
        )

        settings = load_settings(file, {"MINISCHED_SECRETS__KEY": KEY})

        assert settings.openmetadata.jwt_token
        assert settings.openmetadata.jwt_token.get_secret_value() == CANARY
        shown = {value.name: value.value for value in setting_values(settings)}
        assert shown["database.url"] == shown["openmetadata.jwt_token"] == shown["secrets.key"] == "*********"
        assert shown["runtime.environment"] == {"DB_PASSWORD": "*********", "TZ": "UTC"}
        assert shown["secrets.key_file"] is None
        assert CANARY not in repr(setting_values(settings))
        assert KEY not in repr(setting_values(settings))

    def test_are_told_to_those_who_keep_them_out_of_logs(self, write: WriteFile) -> None:
        file = write(
            "database: {url: 'postgresql://u:p%40ssword@h/d'}\nopenmetadata: {jwt_token: a-token}\n"
            f"secrets: {{key: '{KEY},{KEY}'}}\nruntime: {{environment: {{DB_PASSWORD: b, TZ: UTC}}}}\n"
            "airflow: {password: of-airflow}\nairflow_plugin: {password: of-plugin}\n"
        )

        values = load_settings(file, {}).secret_values()

        assert {"p%40ssword", "p@ssword", "a-token", KEY, "b", "of-airflow", "of-plugin"} <= set(values)
        assert "of-airflow" not in repr(setting_values(load_settings(file, {})))
        assert "UTC" not in values
        assert Settings(data_dir=file.parent).secret_values() == []

    def test_are_not_in_the_errors_of_pydantic_either(self) -> None:
        with pytest.raises(ValidationError) as raised:
            Settings.model_validate({"openmetadata": {"jwt_token": {CANARY: CANARY}}, "host_ip": CANARY})

        assert CANARY not in str(raised.value)

    def test_several_keys_are_checked_one_by_one(self) -> None:
        assert load_settings(None, {"HOME": "/h", "MINISCHED_SECRETS__KEY": f"{KEY},{KEY}"}).secrets.key
        assert "Fernet key" in refusal(MINISCHED_SECRETS__KEY=f"{KEY},short")


class TestWarnings:
    def test_nothing_to_say_about_the_defaults(self, tmp_path: Path) -> None:
        assert Settings(data_dir=tmp_path).warnings() == []

    @pytest.mark.parametrize(
        ("environ", "about"),
        [
            ({"MINISCHED_SANDBOX__ENABLED": "no"}, "sandbox.enabled"),
            ({"MINISCHED_OPENMETADATA__HOST_PORT": "http://om:8585/api"}, "jwt_token"),
            ({"MINISCHED_EXECUTOR__DRAIN": "wait", "MINISCHED_EXECUTOR__DRAIN_WAIT_S": "0"}, "drain_wait_s"),
        ],
    )
    def test_what_is_allowed_but_odd_is_said(self, environ: dict[str, str], about: str) -> None:
        (warning,) = load_settings(None, {"HOME": "/h", **environ}).warnings()

        assert about in warning


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])
def test_strangers_are_kept_out_unless_somebody_says_what_keeps_them_out(host: str) -> None:
    with pytest.raises(ConfigurationError, match="not loopback"):
        load_settings(None, {"MINISCHED_SERVER__HOST": host})
    allowed = {"MINISCHED_SERVER__HOST": host, "MINISCHED_SERVER__BEHIND_PROXY": "true"}
    assert load_settings(None, allowed).server.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_more_words(host: str) -> None:
    assert load_settings(None, {"MINISCHED_SERVER__HOST": host}).server.host == host
