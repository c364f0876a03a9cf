"""The job of the load workers of `bench run`, and the flags of its backend."""

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from bench.errors import PlanError
from bench.lab import split_address
from bench.load.job import LoadJob
from bench.load.probe import CONNECT_TIMEOUT_S
from bench.plan import load_values
from bench.plan.backend_plan import Backend
from bench.plan.run_plan import Load, Mode, Plan
from nginx import files

LARGEST_BODY_BYTES = 16 << 20
"""Of a request: each is built whole in memory."""


def load_job(plan: Plan, mode: Mode, proxy: str | None, authority: str | None = None) -> LoadJob:
    """Return what the clients send: to `proxy`, checked to the last byte, or to the target of the plan.

    `authority` verifies the certificate of the proxy. PlanError where the target has no address, or a file
    cannot be read.
    """
    load = plan.load
    if proxy is None:
        url = urlsplit(str(plan.subject.target))
        address, strict = (_resolve(url), target_port(url)), False
        host, default = url.netloc, load_values.path(str(plan.subject.target))
    else:
        address, strict = split_address(proxy), True
        host, default = proxy, "/"
    fields = [load_values.field(line) for line in load.headers]
    rate, rate_end = (None, None) if load.rate is None else load_values.rates(load.rate)
    return LoadJob(
        host=address[0],
        port=address[1],
        host_field=next((value for name, value in fields if name.lower() == "host"), host),
        paths=_paths(load, default),
        method=load.method,
        headers=tuple((name, value) for name, value in fields if name.lower() != "host"),
        body=read_body(load),
        connections=load.connections,
        rate=rate,
        rate_end=rate_end,
        arrivals=load.arrivals,
        warmup_s=load.warmup_s,
        duration_s=load.duration_s,
        requests=load.requests,
        client_mode=_client_mode(plan, mode).value,
        connect_timeout_s=load.connect_timeout_s,
        request_timeout_s=load.request_timeout_s,
        total_timeout_s=load.total_timeout_s,
        statuses=load_values.statuses(load.expect_status),
        echo=strict,
        body_bytes=plan.backend.response_bytes if strict else None,
        pattern=strict,
        seed=plan.seed or 1,
        http2=load.http2,
        streams=load.streams,
        tls=plan.has_client_tls,
        tls_verify=not load.insecure,
        tls_authority=authority if load.cacert is None else read_authority(load.cacert),
        tls_name=load.sni or _host_name(plan),
        tls_sessions=load.tls_sessions,
    )


def _host_name(plan: Plan) -> str | None:
    return None if plan.subject.target is None else urlsplit(plan.subject.target).hostname


def read_authority(path: str) -> str:
    """Return the certificates in the file of `--cacert`; PlanError where it holds none."""
    from bench.load import tls  # noqa: PLC0415 - a tenth of a second that only TLS needs

    try:
        return tls.certificates_in(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise PlanError(
            f"plan: load.cacert = {path!r} cannot be read: {error.strerror}; name another file"
        ) from error
    except ValueError as error:
        raise PlanError(f"plan: load.cacert = {path!r}: {error}; name another file") from error


def target_port(url: SplitResult) -> int:
    """Return the port of a target: that of its scheme where the URL names none."""
    return url.port or (443 if url.scheme == "https" else 80)


def read_body(load: Load) -> bytes:
    """Return the content of each request; PlanError where its file cannot be read, or is too large."""
    if load.body_file is None:
        return (load.body or "").encode()
    name = f"plan: load.body_file = {load.body_file!r}"
    try:
        # No pipe: each trial reads it anew.
        with files.open_file(Path(load.body_file)) as file:
            content = file.read(LARGEST_BODY_BYTES + 1)
    except (OSError, ValueError) as error:
        raise PlanError(
            f"{name} cannot be read: {getattr(error, 'strerror', error)}; name another file"
        ) from error
    if len(content) > LARGEST_BODY_BYTES:
        raise PlanError(f"{name} is larger than {LARGEST_BODY_BYTES >> 20} MiB; name a smaller file")
    return content


def _paths(load: Load, default: str) -> tuple[tuple[str, int], ...]:
    urls = [load_values.weighted_url(url) for url in load.urls]
    return tuple((load_values.path(url), weight) for url, weight in urls) or ((default, 1),)


def _client_mode(plan: Plan, mode: Mode) -> Mode:
    """Return how the clients connect: without a proxy, the mode under test is that of their own hop."""
    is_proxied = plan.subject.target is None and plan.subject.name != "direct"
    return plan.load.client_mode if is_proxied else mode


def _resolve(url: SplitResult) -> str:
    try:
        found = socket.getaddrinfo(url.hostname, target_port(url), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # no name of the DNS has such letters or such a length
        reason = getattr(error, "strerror", None) or error
        raise PlanError(
            f"plan: subject.target = {url.geturl()!r}: {url.hostname} has no address ({reason});"
            " write another name, or an address"
        ) from error
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    if len(addresses) == 1:
        return addresses[0]
    return next((address for address in addresses if _accepts(address, target_port(url))), addresses[0])


def _accepts(address: str, port: int) -> bool:
    """Return whether a server accepts connections there: a name may have addresses where none listens."""
    try:
        socket.create_connection((address, port), CONNECT_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def backend_flags(plan: Backend) -> Iterator[str]:
    """Yield the flags of `python -m backends`, but for where it listens."""
    # In bytes: a plan may spell sizes in more ways than the backend.
    size = "-".join(map(str, plan.response_bytes))
    yield from ("--kind", plan.kind, "--workers", str(plan.workers), "--response-size", size)
    yield from ("--delay", plan.delay, "--close", plan.close.removesuffix("ms"))
    if plan.idle_timeout_s is not None:
        yield from ("--idle-timeout", str(plan.idle_timeout_s))
    if plan.requests_per_connection is not None:
        yield from ("--requests-per-connection", str(plan.requests_per_connection))
    if plan.fail is not None:
        yield from ("--fail", plan.fail)
