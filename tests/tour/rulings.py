"""What figures mean what: each claim borne out, contradicted, or both in part, by trials that are made up."""

from __future__ import annotations

from bench.tour.evidence import ClaimVerdict
from tests.tour.made_up_claims import Values

TRUE, FALSE, DEPENDS = ClaimVerdict.TRUE, ClaimVerdict.FALSE, ClaimVerdict.DEPENDS


def piled(short: int, keepalive: int = 0) -> Values:
    return {
        "short": {"requests": 10_000, "opened": 10_000, "time_wait": short},
        "keepalive": {"requests": 40_000, "opened": 64, "time_wait": keepalive},
    }


def cliff(after: float) -> Values:
    return {"short": {"ports": 28_232, "used": 15_000, "before": 8_000, "after": after, "moment": 1.8}}


def reused(cpu: float, rate: float, opened: int = 64) -> Values:
    return {
        "short": {"requests": 10_000, "opened": 10_000, "cpu": 80, "rate": 8_000},
        "keepalive": {"requests": 40_000, "opened": opened, "cpu": cpu, "rate": rate},
    }


def told(old: float, new: float) -> Values:
    return {"nginx 1.22.1 snippet": {"per_connection": old}, "nginx 1.31.4 snippet": {"per_connection": new}}


def delivered(poll: tuple[float, float], long: tuple[float, float], push: tuple[float, float]) -> Values:
    cases = {"short-poll-new": poll, "long-poll": long, "sse": push, "websocket": push}
    return {case: {"requests": requests, "delay": delay} for case, (requests, delay) in cases.items()}


def over_socket(requests: float, size: float) -> Values:
    return {"long-poll": {"requests": 1.2, "bytes": 650}, "websocket": {"requests": requests, "bytes": size}}


def streamed(sse: float, http10: float, gzip: float) -> Values:
    times = {"sse": sse, "http10": http10, "http11-gzip": gzip}
    return {case: {"first": time, "held": time, "lost": 0} for case, time in times.items()}


def dropped(undisturbed: int, restarted: int) -> Values:
    return {"ours": {"dropped": undisturbed, "lost": 0}, "restart": {"dropped": restarted, "lost": 0}}


def multiplexed(connections: int, sent: float, behind: int = 1) -> Values:
    return {
        "keep-alive": {"connections": 101, "sent": 1_107},
        "h2": {"connections": connections, "sent": sent},
        "keep-alive, nginx": {"connections": 101, "sent": 1_107},
        "h2, nginx": {"connections": behind, "sent": sent},
    }


def timed(h2: tuple[float, float], behind: str = "") -> Values:
    cases = {"keep-alive": (3, 6), "one": (14, 214), "h2": h2}
    return {
        f"{case}{behind}": {"latency": latency, "waiting": waiting}
        for case, (latency, waiting) in cases.items()
    }


def handshakes(new: float, resumed: float, kept: float, server: float | None = None) -> Values:
    costs = {"tls13-new": new, "tls13-resumed": resumed, "tls13-kept": kept}
    return {
        case: {"proxy": cost, "server": server if server and case == "tls13-resumed" else cost}
        for case, cost in costs.items()
    }


def moved(probe: int, quic: int, sse: int, connections: int = 1) -> Values:
    cases = {"quic-probe": probe, "quic": quic, "sse": sse, "sse-timeout": 1}
    return {
        case: {"survived": went_on, "lost": 0 if went_on else 70, "connections": connections}
        for case, went_on in cases.items()
    }


def beats(short: float, kept: float, stream: float) -> Values:
    return {"http-short": {"cpu": short}, "http-kept": {"cpu": kept}, "stream": {"cpu": stream}}


def pulled(poll: float, long: float, push: float) -> Values:
    delays = {"short-poll": poll, "long-poll": long, "push": push}
    return {case: {"delay": delay, "empty": 0, "cpu": 300} for case, delay in delays.items()}


def called(one: float, small: tuple[float, float] = (2, 2)) -> Values:
    costs = {"short": (41, 9_000), "pool": (10, 8), "multiplexed": (one, 1)}
    called: dict[str, dict[str, float | None]] = {
        case: {"cpu": cpu, "opened": opened} for case, (cpu, opened) in costs.items()
    }
    slow = zip(("multiplexed-slow", "pool-slow"), small, strict=True)
    return {**called, **{case: {"small": time} for case, time in slow}}


RULINGS: list[tuple[str, Values, ClaimVerdict]] = [
    ("time-wait", piled(9_900), TRUE),
    ("time-wait", piled(3_000), DEPENDS),
    ("time-wait", piled(12), FALSE),
    ("time-wait", piled(9_900, keepalive=9_900), FALSE),
    ("cliff", cliff(345), TRUE),
    ("cliff", cliff(5_000), DEPENDS),
    ("cliff", cliff(7_900), FALSE),
    ("cliff", cliff(9_000), FALSE),
    ("keepalive", reused(20, 32_000), TRUE),
    ("keepalive", reused(20, 8_000), DEPENDS),  # at a limit that is not the proxy's
    ("keepalive", reused(20, 5_000), DEPENDS),
    ("keepalive", reused(80, 32_000), DEPENDS),
    ("keepalive", reused(75, 8_100), FALSE),
    ("keepalive", reused(20, 32_000, opened=40_000), FALSE),  # it was asked for, and did not happen
    ("snippet", told(1.0, 600), DEPENDS),
    ("snippet", told(1.0, 1.0), FALSE),
    ("snippet", told(600, 600), TRUE),
    # Only one side of 1.29.7 ran: what the other does is known.
    ("snippet", {"nginx 1.22.1 snippet": {"per_connection": 1.0}}, DEPENDS),
    ("snippet", {"nginx 1.29.7 snippet": {"per_connection": 600}}, DEPENDS),
    ("snippet", {"nginx 1.22.1 snippet": {"per_connection": 600}}, TRUE),
    ("snippet", {"nginx 1.29.7 snippet": {"per_connection": 1.0}}, FALSE),
    ("polling", delivered((2.0, 207), (1.2, 8), (0.0, 3)), TRUE),
    ("polling", delivered((2.0, 3), (1.2, 8), (0.0, 3)), DEPENDS),
    ("polling", delivered((1.0, 3), (1.2, 8), (0.0, 3)), FALSE),
    ("long-poll", delivered((2.0, 207), (1.2, 8), (0.0, 3)), TRUE),
    ("long-poll", delivered((1.2, 207), (1.2, 8), (0.0, 3)), DEPENDS),
    ("long-poll", delivered((1.2, 8), (1.2, 8), (0.0, 3)), FALSE),
    ("websocket", over_socket(0.0, 301), TRUE),
    ("websocket", over_socket(0.0, 650), DEPENDS),
    ("websocket", over_socket(1.0, 650), FALSE),
    ("streaming", streamed(20, 21, 22), TRUE),
    ("streaming", streamed(20, 1_980, 1_980), DEPENDS),
    ("streaming", streamed(1_980, 1_980, 1_980), FALSE),
    ("chat", dropped(0, 0), TRUE),
    ("chat", dropped(0, 70), DEPENDS),
    ("chat", dropped(3, 70), FALSE),
    ("http2", multiplexed(1, 393), TRUE),
    ("http2", multiplexed(101, 393), DEPENDS),
    ("http2", multiplexed(101, 1_120, behind=101), FALSE),
    ("http2", multiplexed(1, 393, behind=101), DEPENDS),  # nginx does not multiplex
    ("http2-speed", timed((1, 6)), TRUE),
    ("http2-speed", timed((20, 26)), DEPENDS),
    ("http2-speed", timed((20, 220)), FALSE),
    ("http2-speed", timed((20, 26), behind=", nginx"), DEPENDS),
    ("tls", handshakes(611, 376, 23), TRUE),
    ("tls", handshakes(611, 611, 23), DEPENDS),
    ("tls", handshakes(631, 455, 23, server=620), DEPENDS),  # the proxy saves, the server does not
    ("tls", handshakes(611, 611, 611), FALSE),
    ("migration", moved(probe=1, quic=1, sse=0), TRUE),
    ("migration", moved(probe=1, quic=0, sse=0), DEPENDS),
    ("migration", moved(probe=1, quic=1, sse=1), DEPENDS),
    ("migration", moved(probe=0, quic=0, sse=0), FALSE),
    ("migration", moved(probe=1, quic=0, sse=0, connections=2), FALSE),  # a new one is not the old one
    ("registry", beats(135, 97, 59), TRUE),
    ("registry", beats(135, 97, 90), DEPENDS),
    ("registry", beats(135, 97, 130), FALSE),
    ("broker", pulled(249, 0.47, 0.34), TRUE),  # nobody notices a tenth of a millisecond
    ("broker", pulled(249, 40, 0.34), DEPENDS),
    ("broker", pulled(249, 240, 0.34), FALSE),
    ("rpc", called(8), TRUE),
    ("rpc", called(8, small=(2.8, 1.9)), DEPENDS),
    ("rpc", called(20), DEPENDS),
    ("rpc", called(45), FALSE),
]
BORNE_OUT = {name: values for name, values, verdict in reversed(RULINGS) if verdict is TRUE}
