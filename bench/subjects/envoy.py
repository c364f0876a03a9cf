"""Envoy as a subject: its configuration for a trial, and its own count over the admin socket."""

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.errors import RoleError
from bench.lab import split_address
from bench.plan.run_plan import ClosesFirst, Mode
from bench.subjects.certificates import CHAIN, KEY
from bench.subjects.configured_proxy import ConfiguredProxy, certificate_files
from bench.subjects.launch import LaunchSpec
from bench.subjects.programs import Program
from bench.subjects.subject import SubjectConfig, SubjectCounts, SupportedProtocols, Unsupported, UpstreamTls

_CONF = "{folder}/envoy.json"
_ADMIN = "admin.sock"
_CODECS: dict[str, dict[str, Any]] = {
    "1.1": {},
    "2": {"codec_type": "HTTP2"},
    "3": {"codec_type": "HTTP3", "http3_protocol_options": {}},
}
_ADMIN_TIMEOUT_S = 5.0
_EXTENSIONS = "type.googleapis.com/envoy.extensions"
_SHOWN = {
    "certificate_chain": {"filename": f"{{folder}}/{CHAIN}"},
    "private_key": {"filename": f"{{folder}}/{KEY}"},
}
"""The certificate that clients are shown."""
_PLENTY = 1_000_000
"""A bound that no trial reaches, where Envoy's own (1,024 connections, pending and active requests) might."""


class Envoy(ConfiguredProxy):
    """Starts Envoy; its workers are threads, each with a pool of its own."""

    name = "envoy"
    protocols = SupportedProtocols(
        client=("1.1", "2", "3"), upstream=("1.1", "2"), client_tls=True, upstream_tls=True, passthrough=True
    )

    def refuse(self, config: SubjectConfig) -> None:
        """Raise Unsupported where no configuration makes it do what is config."""
        super().refuse(config)
        if config.plan.pool_idle is not None:
            raise Unsupported(
                self.name,
                "subject.pool_idle",
                "keeps every connection until it has been idle for too long",
                "leave --pool-idle out, or bound all its connections with --pool-max",
            )

    def launch_spec(self, program: Program, listen: str, config: SubjectConfig) -> LaunchSpec:
        """Return how Envoy is run for one trial."""
        arguments = ("-c", _CONF, "--concurrency", str(config.plan.workers), "--disable-hot-restart")
        return LaunchSpec(
            program,
            listen,
            files={"envoy.json": render(config, listen), **certificate_files(config)},
            check=("--mode", "validate", *arguments, "--log-level", "error"),
            run=(*arguments, "--log-level", "error"),
            count=_count,
            table="udp" if config.traffic.client_http == "3" else "tcp",
        )


def render(config: SubjectConfig, listen: str) -> str:
    """Return the configuration for one trial."""
    document = {
        "admin": {"address": {"pipe": {"path": f"{{folder}}/{_ADMIN}"}}},
        "static_resources": {"listeners": [_listener(config, listen)], "clusters": list(_clusters(config))},
    }
    return json.dumps(document, indent=2) + "\n"


def _listener(config: SubjectConfig, listen: str) -> dict[str, Any]:
    clusters = [{"name": name, "weight": 1} for name, _ in _sources(config)]
    if config.traffic.passthrough:
        return _listens(_tcp(config, clusters), listen)
    route: dict[str, Any] = {"match": {"prefix": "/"}}
    route["route"] = {"weighted_clusters": {"clusters": clusters}, "timeout": "0s"}
    if config.mode is Mode.SHORT and config.closes_first is ClosesFirst.BACKEND:
        close = {"key": "Connection", "value": "close"}
        route["request_headers_to_add"] = [{"header": close, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]
    manager = {
        "@type": f"{_EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "front",
        "generate_request_id": False,
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_EXTENSIONS}.filters.http.router.v3.Router"},
            }
        ],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
    }
    if config.traffic.upgrade:
        manager["upgrade_configs"] = [{"upgrade_type": "websocket"}]
    if config.traffic.lasts:
        manager["stream_idle_timeout"] = f"{config.traffic.silence_s:g}s"  # else five minutes
    manager |= _CODECS[config.traffic.client_http]
    filter_ = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    if config.traffic.client_http == "3":
        return _quic_listener(filter_, listen)
    return _listens(filter_, listen, _client_tls(config))


def _listens(filter_: dict[str, Any], listen: str, tls: dict[str, Any] | None = None) -> dict[str, Any]:
    chain: dict[str, Any] = {"filters": [filter_]}
    if tls is not None:
        chain["transport_socket"] = tls
    return {"address": _address(listen), "tcp_backlog_size": 4096, "filter_chains": [chain]}


def _client_tls(config: SubjectConfig) -> dict[str, Any] | None:
    if not config.traffic.client_tls:
        return None
    context: dict[str, Any] = {"tls_certificates": [_SHOWN]}
    context["alpn_protocols"] = ["h2" if config.traffic.client_http == "2" else "http/1.1"]
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": context,
        },
    }


def _tcp(config: SubjectConfig, clusters: list[dict[str, Any]]) -> dict[str, Any]:
    proxy = {
        "@type": f"{_EXTENSIONS}.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "front",
        "weighted_clusters": {"clusters": clusters},
        "idle_timeout": f"{config.traffic.silence_s:g}s",
    }
    return {"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}


def _quic_listener(filter_: dict[str, Any], listen: str) -> dict[str, Any]:
    quic = {
        "name": "envoy.transport_sockets.quic",
        "typed_config": {
            "@type": f"{_EXTENSIONS}.transport_sockets.quic.v3.QuicDownstreamTransport",
            "downstream_tls_context": {"common_tls_context": {"tls_certificates": [_SHOWN]}},
        },
    }
    address = _address(listen)
    address["socket_address"]["protocol"] = "UDP"
    return {
        "address": address,
        "udp_listener_config": {"quic_options": {}},
        "filter_chains": [{"filters": [filter_], "transport_socket": quic}],
    }


def _clusters(config: SubjectConfig) -> Iterator[dict[str, Any]]:
    """Yield a cluster for each source address: Envoy binds by cluster."""
    plan = config.plan
    limit = 1 if config.mode is Mode.SHORT else plan.requests_per_connection
    options: dict[str, Any] = {"idle_timeout": f"{plan.pool_idle_timeout_s:g}s"}
    if limit is not None:
        options["max_requests_per_connection"] = limit
    bounds = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), _PLENTY)
    if plan.pool_max is not None and config.mode is Mode.KEEPALIVE:
        bounds["max_connections"] = plan.pool_max * plan.workers
    for name, source in _sources(config):
        endpoints = [{"endpoint": {"address": _address(each)}} for each in config.upstreams]
        cluster = {
            "name": name,
            "type": "STATIC",
            "connect_timeout": "5s",
            "circuit_breakers": {"thresholds": [bounds]},
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": f"{_EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions",
                    "common_http_protocol_options": options,
                    "explicit_http_config": {
                        "http2_protocol_options"
                        if config.traffic.http2_upstream
                        else "http_protocol_options": {}
                    },
                }
            },
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        }
        if source is not None:
            cluster["upstream_bind_config"] = {"source_address": {"address": source, "port_value": 0}}
        if config.traffic.upstream_tls is not None:
            cluster["transport_socket"] = _tls(config.traffic.upstream_tls)
        yield cluster


def _tls(tls: UpstreamTls) -> dict[str, Any]:
    """Return a cluster's TLS; by default Envoy keeps one session of each server."""
    only = f"TLSv{tls.version.replace('.', '_')}"
    params = {"tls_minimum_protocol_version": only, "tls_maximum_protocol_version": only}
    context: dict[str, Any] = {
        "@type": f"{_EXTENSIONS}.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {"tls_params": params},
    }
    if not tls.resumes:
        context["max_session_keys"] = 0
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _sources(config: SubjectConfig) -> Iterator[tuple[str, str | None]]:
    for number, source in enumerate(config.sources or [None], 1):
        yield f"backend{number}", source


def _address(address: str) -> dict[str, Any]:
    host, port = split_address(address)
    return {"socket_address": {"address": host, "port_value": port}}


class _Admin(http.client.HTTPConnection):
    """HTTP over the admin socket: a path, so that nothing else opens TCP in the lab."""

    def __init__(self, path: Path) -> None:
        super().__init__("envoy", timeout=_ADMIN_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _count(folder: Path) -> SubjectCounts:
    admin = _Admin(folder / _ADMIN)
    try:
        admin.request("GET", "/stats?format=json")
        answer = admin.getresponse().read()
    except (OSError, http.client.HTTPException) as error:
        raise RoleError("envoy", f"does not answer on its admin socket: {error}") from error
    finally:
        admin.close()
    return parse_counts(answer.decode())


def parse_counts(answer: str) -> SubjectCounts:
    """Return the counts in `/stats?format=json` (Envoy: cluster manager statistics)."""
    values = {each["name"]: each["value"] for each in json.loads(answer)["stats"] if "value" in each}

    def total(name: str) -> int:
        return sum(count for key, count in values.items() if _is_cluster_stat(key, name))

    quic = values.get("http.front.downstream_cx_http3_total", 0)
    return SubjectCounts(
        opened=total("upstream_cx_total") - total("upstream_cx_connect_fail"),
        accepted=values.get("http.front.downstream_cx_total", 0)
        + values.get("tcp.front.downstream_cx_total", 0)
        - quic,
        quic=quic,
        errors={"timeout": total("upstream_rq_timeout")},
    )


def _is_cluster_stat(key: str, name: str) -> bool:
    scope, _, rest = key.partition(".")
    return scope == "cluster" and rest.partition(".")[2] == name
