"""nginx as a subject: its configuration for a trial, rendered by the `nginx` package."""

import os
import resource
import signal
from collections.abc import Callable

from bench.plan.run_plan import ClosesFirst, Mode
from bench.subjects.certificates import CHAIN, KEY
from bench.subjects.configured_proxy import ConfiguredProxy, certificate_files
from bench.subjects.launch import LaunchSpec
from bench.subjects.programs import Program
from bench.subjects.subject import SubjectConfig, SupportedProtocols, Unsupported
from nginx import versions
from nginx.render import POOL_OFF, Reuse, SiteSettings, Tls, conf
from nginx.versions import Version

_ENDLESS = 1_000_000_000
"""More requests on a connection than any trial sends: no limit where the plan has none."""
_SMALL_POOL = 4
_ERROR_LOG_FLAG = Version(1, 19, 5)
_SPARE_CONNECTIONS = 128
"""Connections of a worker beside those of clients and backends: listening sockets, channels, files."""


class Nginx(ConfiguredProxy):
    """Starts nginx; any version since 1.11.5 will do, older ones as far as they know what is config."""

    name = "nginx"
    protocols = SupportedProtocols(
        client=("1.1", "2"), upstream=("1.0", "1.1", "2"), client_tls=True, upstream_tls=True
    )

    def __init__(self, change: Callable[[SiteSettings], SiteSettings] | None = None) -> None:
        """Start it with other settings than usual where `change` makes others of them."""
        self._change = change

    def refuse(self, config: SubjectConfig) -> None:
        """Raise Unsupported where no configuration makes any version do what is config."""
        super().refuse(config)
        plan = config.plan
        if plan.pool_max is not None:
            reason = "has no bounded pool (beyond max_conns it answers 502 at once)"
            raise Unsupported(self.name, "subject.pool_max", reason, "leave --pool-max out")
        if config.traffic.upgrade and plan.upstream_http == "1.0":
            reason = "cannot pass an Upgrade on by HTTP/1.0, which knows none"
            raise Unsupported(self.name, "subject.upstream_http = 1.0", reason)

    def refuse_version(self, program: Program, config: SubjectConfig) -> None:
        """Raise Unsupported where `program` is too old for what is config."""
        plan, version = config.plan, versions.parse(program.version)
        is_kept = config.mode is Mode.KEEPALIVE and plan.idiom is None
        if is_kept and plan.requests_per_connection is not None and version < versions.POOL_LIMITS:
            remedy = f"name {versions.POOL_LIMITS} or newer with --program"
            reason = f"{version} does not bound it"
            raise Unsupported(self.name, "subject.requests_per_connection", reason, remedy)

    def launch_spec(self, program: Program, listen: str, config: SubjectConfig) -> LaunchSpec:
        """Return how nginx is run for one trial."""
        version = versions.parse(program.version)
        usual = settings(config, listen, version)
        text = conf(usual if self._change is None else self._change(usual))
        run = arguments(version)
        check = ("-t", "-q", *run)
        files = {"nginx.conf": text, **certificate_files(config)}
        return LaunchSpec(program, listen, files, check, run, reload=signal.SIGHUP)


def arguments(version: Version) -> list[str]:
    """Return the arguments that name its configuration, and keep it from writing elsewhere."""
    known = ["-p", "{folder}", "-c", "{folder}/nginx.conf"]
    # Else it opens the system's log before it reads where to write.
    return [*known, "-e", "stderr"] if version >= _ERROR_LOG_FLAG else known


def settings(config: SubjectConfig, listen: str, version: Version) -> SiteSettings:
    """Return nginx's settings for one trial."""
    return SiteSettings(
        listen=listen,
        servers=config.upstreams,
        reuse=_reuse(config, version),
        version=version,
        sources=config.sources,
        workers=config.plan.workers,
        # A worker may get all clients, each with a connection upstream, and has its pool beside them.
        worker_connections=2 * config.clients + _pool_idle(config) + _SPARE_CONNECTIONS,
        upgrade=config.traffic.upgrade,
        streams=config.traffic.streams,
        upstream_tls=_tls(config),
        client_http2=config.traffic.client_http == "2",
        client_tls=(CHAIN, KEY) if config.traffic.client_tls else None,
        read_timeout_s=config.traffic.silence_s if config.traffic.lasts else None,
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        # The workers stay root in the lab: a folder of ours is all that they may write to anyhow.
        user="root" if os.geteuid() == 0 else None,
    )


def _tls(config: SubjectConfig) -> Tls | None:
    tls = config.traffic.upstream_tls
    return None if tls is None else Tls(f"TLSv{tls.version}", tls.resumes)


def _reuse(config: SubjectConfig, version: Version) -> Reuse:
    """Return what makes this version reuse or close: every directive written, no default relied upon."""
    plan, is_old = config.plan, config.plan.upstream_http == "1.0"
    http = "2" if config.traffic.http2_upstream else plan.upstream_http
    if plan.idiom is not None:
        return _idiom(plan.idiom, config.clients)
    if config.mode is Mode.SHORT:
        # Without a close token the backend waits, and nginx, which has no pool, closes: for certain.
        closes = is_old or config.closes_first is ClosesFirst.BACKEND
        return Reuse(http, "close" if closes else "", POOL_OFF)
    has_limits = version >= versions.POOL_LIMITS
    return Reuse(
        http,
        "keep-alive" if is_old else "",
        _pool_idle(config),
        (plan.requests_per_connection or _ENDLESS) if has_limits else None,
        plan.pool_idle_timeout_s if has_limits else None,
    )


def _idiom(name: str, clients: int) -> Reuse:
    """Return a configuration as people write it (`plan.IDIOMS`): what it leaves out is nginx's default."""
    return {
        "default": Reuse(),
        "snippet": Reuse(http_version="1.1", connection=""),
        "pool-only": Reuse(keepalive=clients),
        "pool-http11": Reuse(http_version="1.1", keepalive=clients),
        "small-pool": Reuse(http_version="1.1", connection="", keepalive=_SMALL_POOL),
        "full": Reuse(http_version="1.1", connection="", keepalive=clients),
    }[name]


def _pool_idle(config: SubjectConfig) -> int:
    """Return the size of the pool, one for all servers of the block: any may be every client's next one."""
    return config.pool_idle if config.plan.pool_idle is not None else config.pool_idle * len(config.upstreams)
