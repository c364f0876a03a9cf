"""What a probe may be pointed at, and the line about what it may not."""

from __future__ import annotations

import socket

import pytest

from bench.errors import PlanError, TargetError
from bench.probe.exchange import ProbeRequest
from bench.probe.target import check_path, parse_field, parse_target, resolve


@pytest.mark.parametrize(
    ("text", "address", "path", "host_field"),
    [
        ("127.0.0.1:8080", ("http", "127.0.0.1", 8080), "/", "127.0.0.1:8080"),
        ("app:80", ("http", "app", 80), "/", "app"),
        ("[::1]:8080", ("http", "::1", 8080), "/", "[::1]:8080"),
        ("http://app", ("http", "app", 80), "/", "app"),
        ("http://app:8080/health?a=b", ("http", "app", 8080), "/health?a=b", "app:8080"),
        ("https://app", ("https", "app", 443), "/", "app"),
        ("https://app:80/", ("https", "app", 80), "/", "app:80"),
        ("http://[::1]/", ("http", "::1", 80), "/", "[::1]"),
        ("app:8080/health", ("http", "app", 8080), "/health", "app:8080"),
    ],
)
def test_a_target_is_an_address_or_a_url(
    text: str, address: tuple[str, str, int], path: str, host_field: str
) -> None:
    target = parse_target(text)
    assert (target.scheme, target.host, target.port) == address
    assert (target.path, target.host_field, target.text) == (path, host_field, text)


WRITE = "; write HOST:PORT, http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is no address of a server"),
        ("app", "it names no port"),
        (":80", "it is no address of a server"),
        ("ftp://app/", "it is no address of a server"),
        ("http://", "it is no address of a server"),
        ("app:0", "port 0 is none that a server listens on"),
        ("app:99999", "port out of range 0-65535"),
        ("http://[::1/", "invalid IPv6 URL"),
    ],
)
def test_what_is_no_target_is_named(text: str, said: str) -> None:
    with pytest.raises(PlanError) as raised:
        parse_target(text)
    assert str(raised.value) == f"{text}: {said}{WRITE}"


def test_another_scheme_is_proposed_as_a_url() -> None:
    assert parse_target("app:443").with_scheme("https") == "https://app/"
    assert parse_target("app:8443/a").with_scheme("https") == "https://app:8443/a"
    assert parse_target("https://app").with_scheme("http") == "http://app:443/"


@pytest.mark.parametrize("text", ["http://me:secret@app/", "https://me:secret@app:x/", "me:secret@app:80"])
def test_a_password_is_not_repeated(text: str) -> None:
    with pytest.raises(PlanError) as raised:
        parse_target(text)
    message = str(raised.value)
    assert message.startswith(text.replace("me:secret", "..."))
    assert message.endswith("it names a user; leave that out, and give -H 'Authorization: ...'")


@pytest.mark.parametrize("path", ["", "a", "/a b", "/ä", "/a\r\nX: y", "*"])
def test_what_is_no_path_is_named(path: str) -> None:
    with pytest.raises(PlanError) as raised:
        check_path(path, f"--path {path}")
    assert str(raised.value).startswith(f"--path {path}: {path!r} is no path; ")


def test_a_path_of_a_url_is_checked_too() -> None:
    with pytest.raises(PlanError, match=r"^http://app/ä: '/ä' is no path"):
        parse_target("http://app/ä")


def test_a_field_is_a_name_and_a_value() -> None:
    assert parse_field("Authorization: Basic a:b") == ("Authorization", "Basic a:b")


@pytest.mark.parametrize("line", ["", "a", ": b", "a b: c", "a: b\r\nc: d", "Connection: close", "expect: x"])
def test_what_is_no_field_or_the_probes_own_is_named(line: str) -> None:
    with pytest.raises(PlanError) as raised:
        parse_field(line)
    assert str(raised.value).startswith(f"--header {line!r}")


def test_a_name_without_an_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_nothing(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    # No name leaves this machine for a test.
    monkeypatch.setattr(socket, "getaddrinfo", find_nothing)
    with pytest.raises(TargetError) as raised:
        resolve(parse_target("nowhere.invalid:80"))
    assert str(raised.value) == (
        "nowhere.invalid:80: nowhere.invalid has no address (Name or service not known); write another name,"
        " or its address"
    )


def test_requests_are_encoded_with_the_fields_that_were_given() -> None:
    request = ProbeRequest("/a", "HEAD", "HTTP/1.0", (("Connection", "keep-alive"),))
    lines = request.encode("app:80", (("host", "shop"), ("X-A", "b"))).decode().split("\r\n")
    assert lines[0] == "HEAD /a HTTP/1.0"
    assert [line for line in lines if line.lower().startswith("host")] == ["host: shop"]
    assert {"X-A: b", "Connection: keep-alive"} <= set(lines)
    assert lines[-2:] == ["", ""]
    assert str(request) == "HTTP/1.0 HEAD /a with Connection"
    assert "host" not in ProbeRequest("/", has_host=False).encode("app").decode().lower()
