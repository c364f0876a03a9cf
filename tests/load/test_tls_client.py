"""Clients with TLS against scripted servers with certificates of their own, over real sockets."""

import ssl
from pathlib import Path
from time import monotonic_ns
from typing import Any

import pytest

from bench.load import http11, tls
from bench.load.job import LoadJob
from bench.load.poller import Poller
from bench.load.tls_client import TlsLayer
from bench.load.worker import LoadWorker
from bench.subjects.certificates import Certificate
from tests import tls_files
from tests.load.scripted import BODY, Conversation, Request, Script, answer, answering, serving

Event = dict[str, Any]


@pytest.fixture
def certificate() -> Certificate:
    return tls_files.certificate()


@pytest.fixture
def context(tmp_path: Path) -> ssl.SSLContext:
    return tls_files.server_context(tmp_path)


def run(port: int, authority: str | None, **changes: Any) -> tuple[Event, list[Event]]:
    """Do a job over TLS; return its `done` and its seconds."""
    values: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "host_field": f"127.0.0.1:{port}",
        "connections": 3,
        "warmup_s": 0.0,
        "duration_s": 30.0,
        "requests": 30,
        "body_bytes": (5, 5),
        "tls": True,
        "tls_authority": authority,
    }
    seconds: list[Event] = []
    done = LoadWorker(LoadJob(**values | changes), Poller(), seconds.append).run(monotonic_ns())
    return done, seconds


def close_answer(request: Request) -> bytes:
    return answer(request, more=b"Connection: close\r\n")


def test_a_kept_connection_shakes_hands_once(certificate: Certificate, context: ssl.SSLContext) -> None:
    with serving(answering(answer), context) as server:
        done, seconds = run(server.port, certificate.authority)
    assert done["requests"] >= 30
    assert not any(done["errors_total"].values())
    assert server.accepted == done["opened_total"] == done["tls"]["full"] == 3
    assert done["tls"]["resumed"] == 0
    (negotiated,) = done["tls"]["negotiated"]
    assert negotiated.startswith("TLSv1.3 TLS_")
    assert sum(count for each in seconds for _, count in each.get("handshake_us", ())) == 3


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("resumes", [True, False])
def test_new_connections_resume_the_session_unless_told_otherwise(
    certificate: Certificate, context: ssl.SSLContext, version: ssl.TLSVersion, resumes: bool
) -> None:
    context.maximum_version = version
    with serving(answering(close_answer), context) as server:
        done, _ = run(server.port, certificate.authority, client_mode="short", tls_sessions=resumes)
    counts = done["tls"]
    assert done["requests"] >= 30
    assert counts["full"] + counts["resumed"] == done["opened_total"] == server.accepted
    # Each of the three clients may begin before the first session is there.
    assert 1 <= counts["full"] <= 3 if resumes else counts["resumed"] == 0


NOT_ACCEPTED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "unknown authority": ("its certificate is not trusted: ", "--cacert FILE", {"tls_authority": None}),
    "another name": ("its certificate is for another name: ", "--sni", {"tls_name": "b.test"}),
}


@pytest.mark.parametrize("name", NOT_ACCEPTED)
def test_a_certificate_that_is_not_accepted_is_named_with_its_remedy(
    certificate: Certificate, context: ssl.SSLContext, name: str
) -> None:
    reason, remedy, changes = NOT_ACCEPTED[name]
    with serving(answering(answer), context) as server:
        done, _ = run(server.port, certificate.authority, requests=3, **changes)
    assert done["requests_total"] == done["tls"]["full"] == 0
    assert done["errors_total"]["tls"] == done["opened_total"] >= 3
    ((found, count),) = done["tls"]["failures"].items()
    assert found.startswith(reason)
    assert remedy in found
    assert "or skip the verification with -k" in found
    assert count == done["errors_total"]["tls"]


@pytest.mark.parametrize(
    "changes", [{"tls_name": "a.test"}, {"tls_verify": False, "tls_name": "b.test", "tls_authority": None}]
)
def test_a_name_of_the_certificate_or_no_verification_is_accepted(
    certificate: Certificate, context: ssl.SSLContext, changes: dict[str, Any]
) -> None:
    with serving(answering(answer), context) as server:
        done, _ = run(server.port, certificate.authority, requests=3, **changes)
    assert done["requests"] >= 3
    assert not any(done["errors_total"].values())


def silent(conversation: Conversation) -> None:
    for _ in conversation.requests():
        pass


WITHOUT_TLS: dict[str, tuple[Script, str]] = {
    "plain HTTP": (
        lambda conversation: conversation.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
        "it answers without TLS; write http:// in place of https://",
    ),
    "closed": (
        lambda conversation: None,
        "it ends the connection in the TLS handshake; see whether this port speaks TLS",
    ),
    "silent": (silent, "it does not answer the TLS handshake; see whether this port speaks TLS"),
}


@pytest.mark.parametrize("name", WITHOUT_TLS)
def test_a_server_without_tls_is_said_to_be_one(certificate: Certificate, name: str) -> None:
    script, reason = WITHOUT_TLS[name]
    timeout_s = 0.05 if name == "silent" else 5.0
    with serving(script) as server:
        done, _ = run(server.port, certificate.authority, requests=3, connect_timeout_s=timeout_s)
    assert done["requests_total"] == 0
    assert done["errors_total"]["tls"] >= 3
    assert done["tls"]["failures"].keys() == {reason}


def test_a_server_that_resets_before_the_handshake_fails_one_exchange(
    certificate: Certificate, context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TlsLayer, "wrap", tls_files.resetting_once(TlsLayer.wrap))
    with serving(answering(answer), context) as server:
        done, _ = run(server.port, certificate.authority)
    assert (done["errors_total"]["tls"], sum(done["errors_total"].values())) == (1, 1)
    assert list(done["tls"]["failures"].values()) == [1]
    assert done["requests"] >= 29


def test_bodies_of_many_records_are_checked_to_the_last_byte(
    certificate: Certificate, context: ssl.SSLContext
) -> None:
    size = 300_000
    body = http11.pattern(size)
    wrong = body[:-1] + b"\n"
    with serving(answering(lambda r: answer(r, body if r.number % 2 else wrong)), context) as server:
        done, _ = run(server.port, certificate.authority, connections=1, requests=6, body_bytes=(size, size))
    assert done["requests_total"] == sum(request.number % 2 for request in server.seen) >= 3
    assert done["errors_total"]["body"] == len(server.seen) - done["requests_total"]
    assert server.accepted == 1


def test_a_request_that_the_socket_does_not_take_at_once_is_sent_whole(
    certificate: Certificate, context: ssl.SSLContext
) -> None:
    fields = tuple((f"X-Long-{at}", "x" * 60_000) for at in range(30))
    with serving(answering(answer), context) as server:
        done, _ = run(server.port, certificate.authority, connections=1, requests=2, headers=fields)
    assert done["requests_total"] == len(server.seen) >= 2
    assert all(len(request.head) > 1_800_000 for request in server.seen)


def test_a_body_until_the_close_that_ends_without_the_end_of_tls_was_cut(
    certificate: Certificate, context: ssl.SSLContext
) -> None:
    def cut(conversation: Conversation) -> None:
        for request in conversation.requests():
            conversation.send(b"HTTP/1.1 200 OK\r\nX-Bench-Id: " + request.identity + b"\r\n\r\n" + BODY)
            return

    with serving(cut, context) as server:
        done, _ = run(server.port, certificate.authority, requests=3)
    assert done["requests_total"] == 0
    assert done["errors_total"]["reset"] >= 3


def test_a_file_of_certificates_may_hold_more_than_those(certificate: Certificate) -> None:
    found = tls.certificates_in(f"a comment\n{certificate.key}\n{certificate.authority}\n")
    assert found.strip() == certificate.authority.strip()
    for text in ("", certificate.key, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"):
        with pytest.raises(ValueError, match="holds no certificate in PEM"):
            tls.certificates_in(text)
