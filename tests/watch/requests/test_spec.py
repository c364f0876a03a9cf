"""What names a source of requests, and what is said about a text that names none: one line, with a remedy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.watch import requests

NONE = {
    "": "'' names no source of requests; write nginx-status:http://HOST:PORT/PATH, ",
    "http://127.0.0.1/status": "'http://127.0.0.1/status' names no source of requests; write ",
    "nginx-log:": "'nginx-log:' names no source of requests; write ",
    "apache:http://127.0.0.1/": "'apache:http://127.0.0.1/' names no source of requests; write ",
    "nginx-status:127.0.0.1:8080": "nginx-status:127.0.0.1:8080: is no http:// address; write http://HOST:PORT/PATH",
    "nginx-status:https://127.0.0.1/": "nginx-status:https://127.0.0.1/: is no http:// address; write ",
    "nginx-status:http:///status": "is no http:// address; write ",
    "nginx-status:http://127.0.0.1:99999/": "is no address: ",
    "nginx-status:http://127.0.0.1/a b": "holds characters that no address has; write ",
    "nginx-status:http://127.0.0.1/a\r\nX: y": "holds characters that no address has; write ",
    "nginx-status:http://me:secret@127.0.0.1/": "holds a password, which recordings would keep; leave it out",
    "nginx-log:/var/log/none.log": "cannot be read: No such file or directory; name the file of an",
    "nginx-log:/dev/null": "cannot be read: it is a device, not a file; name the file of an access_log",
    "nginx-log:/etc/passwd": "has a format that is not known here; give it with --log-format",
    "haproxy:haproxy.sock": "haproxy:haproxy.sock: is no socket; write haproxy:/PATH or haproxy:HOST:PORT",
    "envoy:127.0.0.1:9901": "envoy:127.0.0.1:9901: is no http:// address; write ",
    "envoy:http://127.0.0.1:9901/stats/prometheus": "has the path /stats/prometheus; leave it out: write http://HOST:PORT",
}


@pytest.mark.parametrize(("spec", "message"), NONE.items())
def test_what_names_none(spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        requests.open_source(spec)
    assert len(str(caught.value).splitlines()) == 1


def test_a_format_that_cannot_be_read(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.touch()
    with pytest.raises(
        ValueError, match=rf"^nginx-log:{log}: has no variable in its format 'main'; write it"
    ):
        requests.open_source(f"nginx-log:{log}", "main")
