"""Other programs as clients of HTTP/2: curl, nghttp and h2load, and the load generator of bench."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bench.subjects.certificates import CHAIN, KEY
from tests import needs, tls_files
from tests.messages.model import Step
from tests.proxy_process import ProxyProcess, running
from tests.proxy_upstream import DATE, TIMEOUT_S, Received, Upstream, send


def answer_content(request: Received) -> Sequence[Step]:
    """Answer with the content of the request, or else with its target, and with its identity."""
    body = request.content or request.target
    head = b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n" % (DATE, len(body))
    identity = b"".join(b"X-Bench-Id: %b\r\n" % each for each in request.values(b"X-Bench-Id"))
    return send(b"%b%b\r\n%b" % (head, identity, body))


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    upstream.script = answer_content
    yield upstream
    upstream.close()


@pytest.fixture(scope="module", params=["h2c", "TLS"])
def proxy(
    request: pytest.FixtureRequest, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProxyProcess]:
    flags: tuple[str, ...] = ()
    if request.param == "TLS":
        files = tls_files.write(tmp_path_factory.mktemp("tls"))
        flags = ("--tls-cert", str(files / CHAIN), "--tls-key", str(files / KEY))
    with running(upstream, "--http2", *flags) as proxy:
        if flags:
            proxy.url = proxy.url.replace("http://", "https://")
        yield proxy


def output(*argv: str | Path) -> str:
    """Run a program, which must succeed; return what it prints."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def curl(proxy: ProxyProcess, *argv: str | Path) -> str:
    needs.need("curl")
    if "HTTP2" not in output("curl", "--version"):
        needs.skip("curl with HTTP/2", "apt install curl")
    how = ("--insecure", "--http2") if proxy.url.startswith("https") else ("--http2-prior-knowledge",)
    return output("curl", "--silent", "--show-error", *how, *argv)


def test_curl(proxy: ProxyProcess, tmp_path: Path) -> None:
    assert curl(proxy, proxy.url + "a", "--write-out", " %{http_version}") == "/a 2"
    body = tmp_path / "body"
    body.write_bytes(bytes(range(256)) * 2_000)
    got = tmp_path / "got"
    curl(proxy, proxy.url, "--data-binary", f"@{body}", "--output", str(got))
    assert got.read_bytes() == body.read_bytes()


def test_curl_on_one_connection(proxy: ProxyProcess) -> None:
    # curl 7.88 fails on a second request without TLS, whoever the server is.
    count = 20 if proxy.url.startswith("https") else 1
    before = proxy.count()["accepted"]
    urls = [f"{proxy.url}{number}" for number in range(count)]
    assert curl(proxy, "--parallel", *urls).count("/") == count
    assert proxy.count()["accepted"] - before == 1


def test_nghttp(proxy: ProxyProcess, tmp_path: Path) -> None:
    needs.need("nghttp")
    body = tmp_path / "body"
    body.write_bytes(b"x" * 300_000)
    trailer = ("--trailer", "x-trailer: 1")
    assert output("nghttp", "--no-verify-peer", "--data", body, *trailer, proxy.url) == body.read_text()
    assert "statusCode" not in output("nghttp", "--no-verify-peer", "--multiply=50", "--stat", proxy.url)


def test_h2load(proxy: ProxyProcess) -> None:
    needs.need("h2load")
    before = proxy.count()
    said = output("h2load", "--requests=2000", "--clients=4", "--max-concurrent-streams=16", proxy.url)
    assert "2000 succeeded, 0 failed, 0 errored, 0 timeout" in said
    after = proxy.count()
    assert re.search(r"Application protocol: h2c?\b", said)
    assert (after["accepted"] - before["accepted"], after["requests"] - before["requests"]) == (4, 2000)
    assert after["opened"] <= 64 + before["opened"]


def test_the_load_generator_of_bench(proxy: ProxyProcess) -> None:
    """Every response is the one to its own request, on however many streams they come."""
    before = proxy.count()
    argv = [
        sys.executable,
        "-m",
        "bench.load",
        "--target",
        proxy.url,
        "--http2",
        "--insecure",
        "--no-pattern",
    ]
    if proxy.url.startswith("http:"):
        argv.remove("--insecure")
    said = json.loads(output(*argv, "--connections", "4", "--streams", "8", "--requests", "2000"))
    assert set(said["errors"].values()) == {0}
    after = proxy.count()
    assert after["requests"] - before["requests"] >= 2000
    assert (after["accepted"] - before["accepted"], after["opened"] - before["opened"] <= 32) == (4, True)
