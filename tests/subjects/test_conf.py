"""The configuration of each subject, word for word, and what it cannot do.

The texts lie in golden/; a change of them is a change of what is measured.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.lab.role_process import GRACE_S
from bench.subjects import asyncio_proxy, caddy, envoy, haproxy, nghttpx, nginx
from bench.subjects.certificates import Certificate
from bench.subjects.configured_proxy import ConfiguredProxy
from bench.subjects.programs import Program
from bench.subjects.subject import SubjectConfig, Traffic, Unsupported, UpstreamTls
from nginx import render, versions
from proxy.flags import read_flags
from tests.subjects.subject_config import LISTEN, UPSTREAM, config

GOLDEN = Path(__file__).parent / "golden"
TWICE: dict[str, Any] = {"upstreams": [UPSTREAM, "10.87.3.2:9000"]}
LASTING = Traffic(upgrade=True, streams=True)
BOTH_HOPS = Traffic(client_http="2", http2_upstream=True)
QUIC = Traffic(client_http="3", certificate=Certificate(chain="(a certificate)", key="(its key)"))
TLS_NEW, TLS_RESUMED = UpstreamTls("1.3", resumes=False), UpstreamTls("1.3", resumes=True)
SOURCES: dict[str, Any] = {"sources": ["10.87.2.1", "10.87.2.2", "10.87.2.3"]}


def nginx_conf(version: str) -> Any:
    """Return the renderer for one version, with what depends on this machine and its user left out."""

    def conf(each: SubjectConfig, listen: str) -> str:
        text = render.conf(nginx.settings(each, listen, versions.parse(version)))
        return "".join(
            line for line in text.splitlines(keepends=True) if not line.startswith(("user", "worker_rlimit"))
        )

    return conf


RENDERERS = {
    "nginx-1.14": nginx_conf("1.14.2"),
    "nginx-1.22": nginx_conf("1.22.1"),
    "nginx-1.31": nginx_conf("1.31.3"),
    "haproxy": haproxy.render,
    "envoy": envoy.render,
    "caddy": caddy.render,
    "nghttpx": nghttpx.render,
}


@pytest.mark.parametrize(
    ("name", "golden", "wanted"),
    [
        ("nginx-1.22", "nginx-1.22-short.conf", config("short")),
        ("nginx-1.31", "nginx-1.31-short.conf", config("short")),
        ("nginx-1.22", "nginx-1.22-short-backend.conf", config("short", "backend")),
        ("nginx-1.22", "nginx-1.22-short-1.0.conf", config("short", upstream_http="1.0")),
        ("nginx-1.22", "nginx-keepalive.conf", config()),
        ("nginx-1.31", "nginx-keepalive.conf", config()),
        ("nginx-1.14", "nginx-1.14-keepalive.conf", config()),
        (
            "nginx-1.22",
            "nginx-keepalive-everything.conf",
            config(workers=4, requests_per_connection=100, pool_idle_timeout_s=1.5, **TWICE, **SOURCES),
        ),
        ("haproxy", "haproxy-short.cfg", config("short")),
        ("haproxy", "haproxy-short-backend.cfg", config("short", "backend")),
        ("haproxy", "haproxy-keepalive.cfg", config(workers=2, pool_max=8, **TWICE, **SOURCES)),
        ("envoy", "envoy-short.json", config("short")),
        ("envoy", "envoy-short-backend.json", config("short", "backend")),
        (
            "envoy",
            "envoy-keepalive.json",
            config(requests_per_connection=9, pool_max=8, **TWICE, **SOURCES),
        ),
        ("caddy", "caddy-short", config("short")),
        ("caddy", "caddy-short-backend", config("short", "backend")),
        ("caddy", "caddy-keepalive", config(pool_max=8, pool_idle_timeout_s=1.5, **TWICE)),
        ("nginx-1.22", "nginx-lasting.conf", config(traffic=LASTING)),
        ("haproxy", "haproxy-lasting.cfg", config(traffic=LASTING)),
        ("envoy", "envoy-lasting.json", config(traffic=LASTING)),
        ("caddy", "caddy-lasting", config(traffic=LASTING)),
        ("nginx-1.31", "nginx-1.31-http2.conf", config(traffic=BOTH_HOPS)),
        (
            "nginx-1.31",
            "nginx-1.31-tls-resumed.conf",
            config(traffic=Traffic(upstream_tls=UpstreamTls("1.3", True))),
        ),
        (
            "nginx-1.31",
            "nginx-1.31-tls-new.conf",
            config("short", traffic=Traffic(upstream_tls=UpstreamTls("1.2", False))),
        ),
        ("haproxy", "haproxy-tls-new.cfg", config("short", traffic=Traffic(upstream_tls=TLS_NEW))),
        ("envoy", "envoy-tls-new.json", config("short", traffic=Traffic(upstream_tls=TLS_NEW))),
        ("caddy", "caddy-tls-new", config("short", traffic=Traffic(upstream_tls=TLS_NEW))),
        ("haproxy", "haproxy-tcp.cfg", config(traffic=Traffic(passthrough=True))),
        ("envoy", "envoy-tcp.json", config(traffic=Traffic(passthrough=True), **SOURCES)),
        ("haproxy", "haproxy-http2.cfg", config(traffic=BOTH_HOPS)),
        ("envoy", "envoy-http2.json", config(traffic=BOTH_HOPS)),
        ("envoy", "envoy-http3.json", config(traffic=QUIC)),
        ("caddy", "caddy-http2", config(traffic=BOTH_HOPS)),
        ("caddy", "caddy-http3", config(traffic=QUIC)),
        ("nghttpx", "nghttpx-keepalive.conf", config(workers=2, pool_idle_timeout_s=1.5, **TWICE)),
        ("nghttpx", "nghttpx-http2.conf", config(traffic=BOTH_HOPS)),
        ("nghttpx", "nghttpx-lasting.conf", config(traffic=LASTING)),
    ],
)
def test_a_subject_is_configured_so(name: str, golden: str, wanted: SubjectConfig) -> None:
    assert RENDERERS[name](wanted, LISTEN) == (GOLDEN / golden).read_text(encoding="utf-8")


def at(version: str, adapter: ConfiguredProxy) -> tuple[ConfiguredProxy, Program]:
    """Return an adapter, and a program of a version that need not be here."""
    return adapter, Program(adapter.name, f"/{adapter.name}", version)


ADAPTERS = {
    "nginx-1.14": at("1.14.2", nginx.Nginx()),
    "nginx-1.22": at("1.22.1", nginx.Nginx()),
    "nginx-1.31": at("1.31.3", nginx.Nginx()),
    "haproxy": at("2.6.0", haproxy.HAProxy()),
    "envoy": at("1.40.0", envoy.Envoy()),
    "caddy": at("2.11.0", caddy.Caddy()),
    "nghttpx": at("1.52.0", nghttpx.Nghttpx()),
}


@pytest.mark.parametrize(
    ("name", "wanted", "message"),
    [
        ("nginx-1.22", config(pool_max=8), "subject.pool_max: nginx has no bounded pool"),
        (
            "nginx-1.14",
            config(requests_per_connection=8),
            "requests_per_connection: nginx 1.14.2 does not",
        ),
        (
            "nginx-1.22",
            config(upstream_http="1.0", traffic=LASTING),
            "nginx cannot pass an Upgrade on",
        ),
        (
            "haproxy",
            config(requests_per_connection=8),
            "requests_per_connection: haproxy does not bound it",
        ),
        ("haproxy", config(upstream_http="1.0"), "haproxy sends 1.1 only"),
        (
            "nginx-1.31",
            config(traffic=Traffic(client_http="3")),
            "nginx speaks no HTTP/3 with clients",
        ),
        (
            "haproxy",
            config(traffic=Traffic(client_http="3")),
            "haproxy speaks no HTTP/3 with clients",
        ),
        ("envoy", config(pool_idle=8), "subject.pool_idle: envoy keeps every connection"),
        ("envoy", config(upstream_http="1.0"), "envoy sends 1.1 only"),
        (
            "caddy",
            config(requests_per_connection=8),
            "requests_per_connection: caddy does not bound it",
        ),
        ("caddy", config(upstream_http="1.0"), "caddy sends 1.1 only"),
        (
            "caddy",
            config("short", traffic=Traffic(upstream_tls=TLS_RESUMED)),
            "caddy resumes no TLS session",
        ),
        ("caddy", config(traffic=Traffic(passthrough=True)), "is not configured here for plain TCP"),
        (
            "nghttpx",
            config(traffic=Traffic(upstream_tls=TLS_NEW)),
            "is not configured here for TLS upstream",
        ),
        ("nghttpx", config("short"), "nghttpx has no way to close an upstream connection"),
        (
            "nghttpx",
            config(requests_per_connection=8),
            "requests_per_connection: nghttpx does not bound it",
        ),
        ("nghttpx", config(pool_idle=8), "subject.pool_idle: nghttpx keeps every connection"),
        (
            "nghttpx",
            config(pool_max=8),
            "subject.pool_max: nghttpx bounds connections for each client only",
        ),
        ("nghttpx", config(upstream_http="1.0"), "nghttpx sends 1.1 only"),
        (
            "nghttpx",
            config(**SOURCES),
            "proxy_addresses: nghttpx opens all connections from one address",
        ),
        (
            "nghttpx",
            config(traffic=Traffic(client_http="3")),
            "nghttpx speaks no HTTP/3 with clients",
        ),
        ("caddy", config(**SOURCES), "proxy_addresses: caddy opens all connections from one address"),
    ],
)
def test_what_a_subject_cannot_do_is_one_line(name: str, wanted: SubjectConfig, message: str) -> None:
    adapter, program = ADAPTERS[name]
    with pytest.raises(Unsupported, match=message) as refused:
        _judge(adapter, program, wanted)
    assert "\n" not in str(refused.value)
    assert refused.value.remedy


def _judge(adapter: ConfiguredProxy, program: Program, wanted: SubjectConfig) -> None:
    adapter.refuse(wanted)
    adapter.refuse_version(program, wanted)


def test_a_pool_that_was_asked_for_is_not_made_larger() -> None:
    conf = RENDERERS["nginx-1.22"]
    assert "keepalive 4;" in conf(config(pool_idle=4, **TWICE), LISTEN)
    assert "keepalive 128;" in conf(config(**TWICE), LISTEN)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "max_conns_per_host 64"),
        ({"pool_max": 100}, "max_conns_per_host 100"),
        ({"pool_idle": 8}, None),
        ({"traffic": LASTING}, None),
        ({"mode": "short"}, None),
    ],
)
def test_caddy_opens_no_more_than_it_has_clients_where_its_pool_holds_them(
    changes: dict[str, Any], expected: str | None
) -> None:
    lines = [line.strip() for line in caddy.render(config(**changes), LISTEN).splitlines()]
    assert [line for line in lines if line.startswith("max_conns")] == ([expected] if expected else [])


def test_our_proxy_is_drained_before_the_lab_kills_it() -> None:
    settings, _ = read_flags([*asyncio_proxy.flags(config(), LISTEN)])
    assert 0 < settings.drain_timeout_s < GRACE_S


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_our_proxy_speaks_http2_where_its_clients_do(version: str) -> None:
    settings, _ = read_flags([*asyncio_proxy.flags(config(traffic=Traffic(client_http=version)), LISTEN)])
    assert settings.http2 == (version == "2")
