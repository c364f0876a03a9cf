"""The access logs of a configuration, with their formats."""

from __future__ import annotations

import pytest

from bench.watch.nginx_here.access_logs import log_formats
from bench.watch.requests.log_format import COMBINED
from nginx import tree

FORMATS = (
    'log_format up \'$remote_addr \' "$upstream_addr"; log_format j escape=json \'{"u":"$upstream_addr"}\';'
)
LOGS = {
    "access_log /var/log/a.log;": {"/var/log/a.log": COMBINED},
    "access_log /var/log/a.log up;": {"/var/log/a.log": "$remote_addr $upstream_addr"},
    "access_log /var/log/a.log j buffer=32k flush=1s if=$x;": {"/var/log/a.log": '{"u":"$upstream_addr"}'},
    "access_log /var/log/a.log buffer=32k;": {"/var/log/a.log": COMBINED},
    "access_log logs/a.log up;": {"/srv/logs/a.log": "$remote_addr $upstream_addr"},
    "server { location / { access_log /b.log up; } } access_log /a.log;": {
        "/b.log": "$remote_addr $upstream_addr",
        "/a.log": COMBINED,
    },
    "server { access_log /a.log up; } server { access_log /a.log up; }": {
        "/a.log": "$remote_addr $upstream_addr"
    },
    # In two formats, packed, of a format that is not there, of many files, of none.
    "server { access_log /a.log up; } server { access_log /a.log j; }": {},
    "access_log /a.log up gzip=9;": {},
    "access_log /a.log none;": {},
    "access_log /a-$host.log up;": {},
    "access_log off;": {},
    "access_log syslog:server=10.0.0.1 up;": {},
}


@pytest.mark.parametrize(("lines", "formats"), LOGS.items())
def test_logs(lines: str, formats: dict[str, str]) -> None:
    assert log_formats(tree.parse(f"{lines} {FORMATS}", "n.conf").directives, "/srv") == formats
