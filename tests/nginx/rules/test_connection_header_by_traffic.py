"""What rules say about the fields Connection and Keep-Alive, seen by the server that gets them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.nginx import real
from tests.nginx.rules.proving import PROGRAMS, Recorder, flagged, proves, site

TIMES = 4
V10, V11 = "1.0", "1.1"
UPGRADE_MAP = "map $http_upgrade $up { default upgrade; '' ''; }\n"
MAP_OF_CLOSE = "map $http_connection $up { ~*close close; default ''; }\n"
EMPTY = '""'


@dataclass(frozen=True)
class Row:
    """What the fields of a location and of a client do to what the server gets."""

    rule: str
    fields: tuple[str, ...]
    """The values of its lines `proxy_set_header Connection`."""
    sent: tuple[str, ...]
    """What the server gets of them, in each request."""
    connections: int
    """How many it takes for the requests of all clients."""
    is_flagged: bool
    http: str = V11
    by_client: str = ""
    """The Connection field of the client."""
    maps: str = ""


FIELDS = [
    Row("NK010", ("upgrade",), ("upgrade",), 1, True),
    Row("NK010", ("$up",), (), 1, False, maps=UPGRADE_MAP),
    Row("NK011", ("$http_connection",), ("close",), TIMES, True, by_client="close"),
    Row("NK011", ("$http_connection",), (), 1, True),
    Row("NK011", ("$up",), ("close",), TIMES, True, by_client="close", maps=MAP_OF_CLOSE),
    Row("NK011", (EMPTY,), (), 1, False, by_client="close"),
    Row("NK012", (EMPTY, "upgrade"), ("upgrade",), 1, True),
    Row("NK012", (EMPTY, "close"), ("close",), TIMES, True),
    Row("NK012", ("keep-alive", "close"), ("keep-alive", "close"), TIMES, True),
    Row("NK012", (EMPTY,), (), 1, False),
    Row("NK013", ("keep-alive",), ("keep-alive",), 1, True),
    Row("NK013", (EMPTY,), (), 1, False),
    Row("NK013", ("keep-alive",), ("keep-alive",), 1, True, http=V10),
    Row("NK013", (EMPTY,), (), TIMES, False, http=V10),
]


def passing(http: str, fields: tuple[str, ...], more: str = "") -> str:
    lines = " ".join(f"proxy_set_header Connection {value};" for value in fields)
    return site(f"location / {{ proxy_pass http://app; proxy_http_version {http}; {lines} {more} }}")


def send(version: str, folder: Path, text: str, recorder: Recorder, fields: dict[str, str]) -> int:
    """Send a request from each of some clients; return how many connections the server accepted."""
    with real.serving(recorder.exchange) as server:
        text = text.replace("BACKEND", server.address)
        with real.running(PROGRAMS[version], folder, text) as listening:
            for _ in range(TIMES):
                with contextlib.closing(real.client(listening)) as client:
                    client.request("GET", "/", headers=fields)
                    assert client.getresponse().read() == b"ok"
        return server.accepted


@proves("NK010", "NK011", "NK012", "NK013")
@pytest.mark.parametrize("row", FIELDS, ids=lambda row: f"{row.rule} {row.fields} {row.by_client}")
def test_the_server_gets_the_fields_that_a_rule_names(version: str, row: Row, tmp_path: Path) -> None:
    text = row.maps + passing(row.http, row.fields)
    assert (row.rule in flagged(text, version)) == row.is_flagged
    recorder, fields = Recorder(), {"Connection": row.by_client} if row.by_client else {}
    assert send(version, tmp_path, text, recorder, fields) == row.connections
    assert recorder.values("connection") == [list(row.sent)] * TIMES


@proves("NK013")
@pytest.mark.parametrize(
    ("line", "sent"), [("", []), ("proxy_set_header Keep-Alive timeout=9;", ["timeout=9"])]
)
def test_a_keep_alive_field_has_no_effect(version: str, line: str, sent: list[str], tmp_path: Path) -> None:
    """The server announces that it closes at once and serves one request; nginx reuses its connection."""
    text = passing(V11, (EMPTY,), line)
    assert ("NK013" in flagged(text, version)) == bool(line)
    recorder = Recorder("Keep-Alive: timeout=0, max=1\r\n")
    assert send(version, tmp_path, text, recorder, {"Keep-Alive": "timeout=1"}) == 1
    assert recorder.values("keep-alive") == [sent] * TIMES
