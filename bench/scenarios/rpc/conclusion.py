"""The sentence of an rpc run. Pure."""

from bench.analysis.cases import Summary

_OUTLIERS = {"slow": "slow calls", "large": "large answers"}
_CONNECTIONS = {"multiplexed": "on one connection", "pool": "in a pool", "ordered": "in order"}


def conclude(summary: Summary) -> str:
    """Say how fast each variant is, and what slow calls and large answers do to the others."""
    parts = _compare_rates(summary)
    for kind, name in _OUTLIERS.items():
        times = {
            where: summary.value("times_ms.small.p99", f"{variant}-{kind}")
            for variant, where in _CONNECTIONS.items()
        }
        known = [f"{time_ms:,.2g} ms {where}" for where, time_ms in times.items() if time_ms is not None]
        if known:
            parts.append(f"beside {name}, 99 % of small calls take at most {', '.join(known)}")
    text = "; ".join(parts)
    sentences = [f"{text[0].upper()}{text[1:]}."] if parts else []
    held = summary.value("figures.held", "sdk")
    if held is not None:
        sentences.append(f"Dubbo's own callers share {held:,.0f} connection{'s'[: held != 1]}.")
    return " ".join(sentences) or "No two ways can be compared."


def _compare_rates(summary: Summary) -> list[str]:
    key = "figures.calls_per_s"
    short, pool, one = (summary.row(variant) for variant in ("short", "pool", "multiplexed"))
    if short is None or pool is None or one is None:
        return []
    to_short, to_pool = one.ratio_to(short, key), one.ratio_to(pool, key)
    if to_short is None or to_pool is None:
        return []
    return [
        f"One multiplexed connection serves {to_short:.2g}x the calls of a connection for each call"
        f" ({one.value(key):,.0f} against {short.value(key):,.0f} per second), and {to_pool:.2g}x those of a"
        " pool"
    ]
