"""stream: a chat answer as a stream of tokens, and which settings of proxies delay it or cut it."""

from bench.experiment.definition import Bars, Column, Curves, Figures, Scenario
from bench.experiment.proxy_setup import ProxySetup
from bench.experiment.testbed import Testbed
from bench.plan.scenario_plan import Case
from bench.scenarios.stream.conclusion import conclude
from bench.scenarios.stream.figures import compute_figures
from bench.scenarios.stream.settings import StreamSettings
from bench.scenarios.stream.variants import VARIANTS
from bench.subjects.nginx import Nginx
from bench.subjects.subject import Traffic

_SPARE_CONNECTIONS = 16
_LONGEST_S = 15.0
"""Besides the length of an answer: how long its readers may take."""


def perform(testbed: Testbed, case: Case, settings: StreamSettings) -> Figures:
    """Have all readers read an answer each, and note when the tokens came."""
    variant = VARIANTS[case.variant]
    flags = ["--tokens", str(settings.tokens), "--every", str(settings.every_s)]
    flags += ["--silence", str(variant.silence_s), *(["--no-accel"] if variant.no_accel else [])]
    address = testbed.start_proxy(testbed.start_server("backends.scenarios.tokens.server", *flags).addresses)
    job = {
        "address": address,
        "connections": settings.streams + _SPARE_CONNECTIONS,
        "streams": settings.streams,
        "socket": variant.socket,
        "encoding": "gzip" if variant.gzip else "identity",
    }
    testbed.start_clients("bench.scenarios.stream.clients", [job])
    if settings.browser:
        path = "/?by=websocket" if variant.socket else "/"
        testbed.start_clients("bench.scenarios.client.browser", [{"address": address, "path": path}])
    answer_s = settings.tokens * settings.every_s + variant.silence_s
    result = testbed.run(settings.warmup_s, None, answer_s + _LONGEST_S)
    return compute_figures(result, case.variant, settings)


def proxy_setup(case: Case, settings: StreamSettings) -> ProxySetup:
    """Request a tunnel or a stream, nothing special, or nginx with the variant's own settings."""
    variant, clients = VARIANTS[case.variant], settings.streams + _SPARE_CONNECTIONS
    if variant.is_nginx_only:
        return ProxySetup(clients, subject=Nginx(variant.applied))
    traffic = Traffic() if variant.plain else Traffic(upgrade=variant.socket, streams=not variant.socket)
    return ProxySetup(clients, traffic=traffic)


def refuse(case: Case, settings: StreamSettings) -> str | None:
    """Refuse nginx's settings on other subjects, and a browser where there is none."""
    if VARIANTS[case.variant].is_nginx_only and case.subject.name != "nginx":
        return "is about a setting of nginx's"
    if settings.browser:
        from bench.scenarios.client import browser  # noqa: PLC0415 - only where it is asked for

        return browser.missing()
    return None


SCENARIO = Scenario(
    name="stream",
    title="A chat answer as a stream of tokens, and what stands in its way",
    claim="Buffering on breaks server-sent events.",
    unit="token",
    variants=tuple(each.variant for each in VARIANTS.values()),
    settings=StreamSettings,
    columns=(
        Column("times_ms.first.p50", "first token, ms", "ms"),
        Column("times_ms.gaps.p50", "gap p50", "ms"),
        Column("times_ms.gaps.max", "max", "ms"),
        Column("times_ms.held.p50", "held back p50", "ms"),
        Column("times_ms.held.max", "max", "ms"),
        Column("bytes_per_unit.front", "bytes/token", "B"),
        Column("cpu_us_per_unit.proxy", "CPU proxy, us", "us"),
        Column("figures.cut", "answers cut"),
        Column("figures.lost", "tokens lost"),
        Column("figures.browser_tokens", "browser"),
    ),
    panels=(
        Curves("tokens", "One answer, as its reader sees it", "tokens so far", "seconds since asking"),
        Bars("times_ms.first.p50", "The first token", "milliseconds from asking, median", "ms", log=True),
        Bars("times_ms.held.max", "The longest that a token was held back", "milliseconds", "ms", log=True),
        Bars("figures.lost", "Tokens lost", "of all answers"),
    ),
    perform=perform,
    conclude=conclude,
    proxy_setup=proxy_setup,
    refuse=refuse,
    default_subjects=("direct", "nginx", "haproxy", "envoy", "caddy", "asyncio"),
    brief={
        "variants": ["sse", "http10", "http11-gzip"],
        "subjects": ["nginx"],
        "settings": {"tokens": 100, "streams": 5},
    },
)
