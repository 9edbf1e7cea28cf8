"""What went wrong between us and Airflow, in one sentence that names the cause, and one that names the setting."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from http import HTTPStatus

import httpcore

from minisched.clients.airflow.answer import Answer
from minisched.clients.airflow.server import AirflowServer
from minisched.clients.bounded_transport import AnswerTooLarge
from minisched.domain.errors import OrchestratorError, OrchestratorRejected, OrchestratorUnavailable

_BUSY = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_CORRECT_URL = "Correct airflow.url."


def refusal(answer: Answer, server: AirflowServer, what: str) -> OrchestratorError:
    """For an answer that is no success; `what` was asked for, such as `deploy 'x'`."""
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return _not_let_in(answer, server, what)
    if answer.status in _BUSY:
        because = f": {answer.reason}" if answer.reason else "."
        return OrchestratorUnavailable(f"Airflow at {server.url} is not available now ({answer.status}){because}")
    alien = answer.status == HTTPStatus.OK or not answer.is_the_plugins
    if alien and answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return _not_the_plugin(answer, server)
    if answer.reason:
        return OrchestratorRejected(f"Airflow at {server.url} did not {what}: {answer.reason}")
    return OrchestratorRejected(
        f"Airflow at {server.url} failed to {what} ({answer.status}) and does not say why.",
        hint="The log of Airflow's API server (its webserver, before Airflow 3) has the reason.",
    )


def _not_let_in(answer: Answer, server: AirflowServer, what: str) -> OrchestratorError:
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return OrchestratorRejected(
            f"Authentication failed for user {server.username!r} at Airflow, {server.url} (401).",
            hint="Correct airflow.username and airflow.password; Airflow has to allow Basic authentication.",
        )
    return OrchestratorRejected(
        f"Airflow at {server.url} does not allow user {server.username!r} to {what} (403).",
        hint="Give that user the permissions on DAGs, or set another one in airflow.username.",
    )


def _not_the_plugin(answer: Answer, server: AirflowServer) -> OrchestratorError:
    if answer.status == HTTPStatus.OK:
        sent = "JSON of another form" if answer.ok else f"{answer.media_type or 'something'} where JSON was expected"
        text = f"What answers at {server.url} is not OpenMetadata's plugin: it sent {sent}."
        return OrchestratorRejected(text, hint=_CORRECT_URL)
    if answer.location:
        text = f"Airflow at {server.url} sends callers on to {answer.location} ({answer.status})."
        return OrchestratorRejected(text, hint="Set airflow.url to where Airflow is.")
    if answer.status == HTTPStatus.NOT_FOUND:
        return missing(server)
    return OrchestratorRejected(
        f"What answers at {server.url} is not OpenMetadata's plugin (status {answer.status}).", hint=_CORRECT_URL
    )


def missing(server: AirflowServer) -> OrchestratorError:
    """Nothing but 404 was answered."""
    return OrchestratorRejected(
        f"OpenMetadata's plugin was not found at {server.url} (404).",
        hint="Install openmetadata-managed-apis in that Airflow, or correct airflow.url.",
    )


def broken_connection(error: Exception, server: AirflowServer, method: str) -> OrchestratorUnavailable:
    """For a request that got no answer."""
    text, hint = _what_broke(error, server, method)
    return OrchestratorUnavailable(text, hint=hint)


def _what_broke(error: Exception, server: AirflowServer, method: str) -> tuple[str, str]:
    url = server.url
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                text = f"The certificate of Airflow at {url} is not trusted: {cause.verify_message.rstrip('.')}."
                return text, "Name the authority that signed it in airflow.ca_file."
            case ssl.SSLError():
                text = f"No TLS connection to Airflow at {url}: {cause.reason or 'it was refused'}."
                return text, "Does it speak https at all? Otherwise correct airflow.url."
            case socket.gaierror():
                return f"The host of Airflow, {url}, is not known: {cause.strerror}.", _CORRECT_URL
            case OSError() if cause.errno == errno.ECONNREFUSED:
                return (
                    f"Nothing answers at {url}: the connection was refused.",
                    "Start Airflow, or correct airflow.url.",
                )
            case httpcore.ConnectTimeout():
                text = f"Airflow at {url} took no connection within {server.connect_timeout_s:g} s."
                return text, "Correct airflow.url, or raise airflow.connect_timeout_s."
            case httpcore.TimeoutException():
                done = "" if method == "GET" else " Whether it was done is not known."
                text = f"Airflow at {url} did not answer within {server.within_s(method):g} s.{done}"
                return text, f"See what keeps it busy, or raise {server.time_setting(method)}."
            case AnswerTooLarge():
                return f"The answer from {url} is too large to be the plugin's.", _CORRECT_URL
    return f"The connection to Airflow at {url} broke: {error}.", "See whether Airflow is well, and airflow.url."


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The innermost one says most."""
    if error is not None:
        yield from _causes(error.__cause__ or error.__context__)
        yield error
