"""The verdict on each claim that a run can decide: figures in, a verdict and its reason out. Pure.

What is needed for a verdict has been looked for before (Evidence.find_lack); what may be missing is looked at
here. A reason names the figures that it stands on, and says nothing that they do not show.
"""

from collections.abc import Sequence

from bench.tour.evidence import CLEAR, ClaimVerdict, Evidence, Ruling
from nginx import versions
from nginx.versions import POOL_BY_DEFAULT

REUSED = 0.05
"""Connections per request below which connections are reused."""
_TRUE, _FALSE, _DEPENDS = ClaimVerdict.TRUE, ClaimVerdict.FALSE, ClaimVerdict.DEPENDS
_MOST, _FEW = 0.5, 0.05
"""Shares from which on, and up to which, it is most of something, and little of it."""
_PORT_HELD_S = 60
"""How long Linux keeps a socket in TIME_WAIT (TCP_TIMEWAIT_LEN in include/net/tcp.h)."""
_MULTIPLES = 2.0
_LATE_MS = 100.0
"""From when on a reader sees that a first token is late."""
_SOON_MS = 5.0
"""By so much a message may come later than another, and nobody notices."""


# -- short connections and keep-alive


def judge_time_wait(evidence: Evidence) -> Ruling:
    """Look at how many of the short connections are left in TIME_WAIT, beside keep-alive."""
    opened, left = evidence.get("short", "opened"), evidence.get("short", "time_wait")
    kept = evidence.get("keepalive", "time_wait")
    seen = (
        "Of {short[opened]} short connections {short[time_wait]} stood in TIME_WAIT at once;"
        " with keep-alive it was {keepalive[time_wait]}."
    )
    if left <= max(_FEW * opened, kept):
        return Ruling(_FALSE, f"{seen} That is no pile.")
    if left < _MOST * opened:
        return Ruling(_DEPENDS, f"{seen} Only a part of the short connections was left there.")
    return Ruling(_TRUE, f"{seen} They lie with the side that closes first: here that is the proxy.")


def judge_cliff(evidence: Evidence) -> Ruling:
    """Look at the throughput after half of the ports were in use, beside that before."""
    before, after = evidence.get("short", "before"), evidence.get("short", "after")
    seen = (
        "Short connections served {short[before]} requests/s until half of the {short[ports]} ports were in"
        " use, and {short[after]} from then on"
    )
    if after <= _MOST * before:
        held = (
            f"A port is held for {_PORT_HELD_S} s, and no hardware changes that. Where the server closes"
            " first, the proxy holds none."
        )
        return Ruling(_TRUE, f"{seen}. {held}")
    if after * CLEAR < before:
        return Ruling(_DEPENDS, f"{seen}: it fell, and did not collapse.")
    return Ruling(_FALSE, f"{seen}: there was no collapse.")


def judge_keepalive(evidence: Evidence) -> Ruling:
    """Look at whether connections were reused, how many requests are then served, and what each costs."""
    opened, served = evidence.get("keepalive", "opened"), evidence.get("keepalive", "requests")
    if opened > REUSED * served:
        seen = "The proxy opened {keepalive[opened]} connections for {keepalive[requests]} requests"
        return Ruling(_FALSE, f"{seen}: keep-alive was asked for, and nothing was reused.")
    is_cheaper = evidence.is_more("cpu", "short", "keepalive")
    lack = evidence.find_lack("rate")
    if lack is not None:
        seen = (
            "A request took {keepalive[cpu]} µs of the proxy's CPU instead of {short[cpu]}, on"
            " {keepalive[opened]} connections instead of {short[opened]}."
        )
        return _rule_on_part(is_cheaper, seen, lack, "the connections and the CPU")
    seen = (
        "While half of the ports were free, {keepalive[rate]} requests/s were served on {keepalive[opened]}"
        " connections instead of {short[rate]}, each for {keepalive[cpu]} µs of the proxy's CPU instead of"
        " {short[cpu]}."
    )
    is_faster = evidence.is_more("rate", "keepalive", "short")
    if is_cheaper and is_faster:
        return Ruling(_TRUE, seen)
    return Ruling(_DEPENDS if is_cheaper or is_faster else _FALSE, f"{seen} It was not better in both.")


def judge_snippet(evidence: Evidence) -> Ruling:
    """Look at whether each nginx reuses connections once it has been told what the snippet says."""
    told = [case for case in evidence.cases if case.endswith(" snippet")]
    if not told:
        return Ruling(ClaimVerdict.UNMEASURED, "No nginx was told what the snippet says.")
    reusing = [case for case in told if evidence.get(case, "per_connection") * REUSED >= 1]
    seen = "; ".join(f"{case.removesuffix(' snippet')} {{{case}[per_connection]}}" for case in told)
    counted = f"Requests on each connection to the server: {seen}."
    pool = (
        f"Before {POOL_BY_DEFAULT} the `upstream` needs `keepalive N` as well; since then it has a pool by"
        " default."
    )
    is_new = [_has_pool_by_default(case) for case in told]
    if reusing == told and all(is_new):
        return Ruling(_DEPENDS, f"{counted} True of each nginx that ran, all of them new. {pool}")
    if not reusing and not any(is_new):
        return Ruling(_DEPENDS, f"{counted} False of each nginx that ran, all of them old. {pool}")
    if reusing == told:
        return Ruling(_TRUE, f"{counted} {pool}")
    return Ruling(_DEPENDS if reusing else _FALSE, f"{counted} {pool}")


def _has_pool_by_default(case: str) -> bool:
    """Return whether the nginx of a case has a pool without `keepalive N` (rule NK001)."""
    return versions.parse(case.split()[1]) >= POOL_BY_DEFAULT


def _rule_on_both(first: bool, second: bool, seen: str, why: str = "", *, otherwise: str) -> Ruling:
    """Return the ruling on a claim of two parts: true where both hold, false where none does."""
    if first and second:
        return Ruling(_TRUE, f"{seen}{why}")
    return Ruling(_DEPENDS if first or second else _FALSE, f"{seen}{otherwise}")


def _rule_on_part(holds: bool, seen: str, lack: str, part: str) -> Ruling:
    """Return the ruling on that part of a claim which can be decided, where another cannot."""
    return Ruling(
        _TRUE if holds else _FALSE, f"{seen} {lack} The verdict is on {part} alone.", is_partial=True
    )


# -- polled and pushed


def judge_polling(evidence: Evidence) -> Ruling:
    """Look at the requests and the delay of polling, beside a push."""
    wastes = evidence.get("short-poll-new", "requests") >= CLEAR
    lack = evidence.find_lack("delay")
    if lack is not None:
        counted = (
            "Polling sent {short-poll-new[requests]} requests for each message, a WebSocket"
            " {websocket[requests]}."
        )
        return _rule_on_part(wastes, counted, lack, "the requests")
    is_late = evidence.is_more("delay", "short-poll-new", "websocket")
    seen = (
        "Polling sent {short-poll-new[requests]} requests for each message, and had it after"
        " {short-poll-new[delay]} ms; a WebSocket sent {websocket[requests]}, and had it after"
        " {websocket[delay]} ms."
    )
    why = " How many it wastes depends on how often it asks."
    return _rule_on_both(wastes, is_late, seen, why, otherwise=" It was not worse in both.")


def judge_long_poll(evidence: Evidence) -> Ruling:
    """Look at the requests of long polling and its delay, beside polling."""
    saves = evidence.is_more("requests", "short-poll-new", "long-poll")
    lack = evidence.find_lack("delay")
    if lack is not None:
        counted = (
            "It sent {long-poll[requests]} requests for each message instead of {short-poll-new[requests]}."
        )
        return _rule_on_part(saves, counted, lack, "the requests")
    is_sooner = evidence.is_more("delay", "short-poll-new", "long-poll")
    seen = (
        "It sent {long-poll[requests]} requests for each message instead of {short-poll-new[requests]}, and"
        " had it after {long-poll[delay]} ms instead of {short-poll-new[delay]}."
    )
    return _rule_on_both(saves, is_sooner, seen, otherwise=" It was not better in both.")


def judge_websocket(evidence: Evidence) -> Ruling:
    """Look at the requests and the bytes of a message over a WebSocket, beside long polling."""
    needs_none = evidence.get("websocket", "requests") <= _FEW
    saves = evidence.is_more("bytes", "long-poll", "websocket")
    seen = (
        "A message took {websocket[requests]} requests and {websocket[bytes]} bytes; by long polling it took"
        " {long-poll[requests]} and {long-poll[bytes]}."
    )
    return _rule_on_both(needs_none, saves, seen, otherwise=" It did not save both.")


def judge_streaming(evidence: Evidence) -> Ruling:
    """Look at when the first token is there behind nginx as it may be configured."""
    late = [case for case in evidence.cases if evidence.get(case, "first") > _LATE_MS]
    names = {"sse": "set up for streams", "http10": "by HTTP/1.0, buffering", "http11-gzip": "with gzip"}
    times = "; ".join(f"{names.get(case, case)} {{{case}[first]}} ms" for case in evidence.cases)
    seen = f"The first token came through nginx after: {times}."
    if not late:
        return Ruling(_TRUE, seen)
    if len(late) == len(evidence.cases):
        return Ruling(_FALSE, f"{seen} Each of them held it back.")
    return Ruling(_DEPENDS, f"{seen} A proxy that buffers or compresses holds tokens back.")


def judge_chat(evidence: Evidence) -> Ruling:
    """Look at what is dropped where nothing happens, and where the proxy starts anew."""
    undisturbed, restarted = evidence.get("ours", "dropped"), evidence.get("restart", "dropped")
    seen = (
        "Undisturbed, {ours[dropped]} connections were dropped; as nginx started anew, {restart[dropped]},"
        " and {restart[lost]} messages were lost"
    )
    if undisturbed:
        return Ruling(_FALSE, f"{seen}.")
    if restarted:
        return Ruling(_DEPENDS, f"{seen}. A chat needs clients that come back and ask for what they missed.")
    return Ruling(_TRUE, f"{seen}.")


# -- many requests on one connection


def judge_multiplexing(evidence: Evidence) -> Ruling:
    """Look at the connections and the bytes of requests by HTTP/2, without a proxy and behind nginx."""
    parts = (
        evidence.is_more("connections", "keep-alive", "h2"),
        evidence.is_more("connections", "keep-alive, nginx", "h2, nginx"),
        evidence.is_more("sent", "keep-alive", "h2"),
    )
    seen = (
        "Connections at the server without a proxy: {h2[connections]} by HTTP/2, {keep-alive[connections]} by"
        " HTTP/1.1. Behind nginx that was told to speak HTTP/2 to it: {h2, nginx[connections]}, and"
        " {keep-alive, nginx[connections]} by HTTP/1.1. Bytes that a client sent for each request: {h2[sent]}"
        " and {keep-alive[sent]}."
    )
    alone, behind, _ = parts
    if alone and not behind:
        seen += " nginx does not multiplex requests to its servers: behind it HTTP/2 saves no connection."
    if all(parts):
        return Ruling(_TRUE, seen)
    return Ruling(_DEPENDS if any(parts) else _FALSE, seen)


def judge_http2_speed(evidence: Evidence) -> Ruling:
    """Look at the times of HTTP/2 beside as many HTTP/1.1 connections, and at who waits on a single one.

    Without a proxy where that counts, else behind nginx.
    """
    for behind, where in (("", "Without a proxy"), (", nginx", "Behind nginx")):
        if evidence.select(_name_http_cases(behind)).find_lack("latency", "waiting") is None:
            return _compare_http2_times(evidence, behind, where)
    lack = evidence.select(_name_http_cases("")).find_lack("latency", "waiting")
    assert lack is not None, "the first of the two has been looked at"
    return Ruling(ClaimVerdict.UNMEASURED, lack)


def _name_http_cases(behind: str) -> list[str]:
    return [f"{variant}{behind}" for variant in ("keep-alive", "one", "h2")]


def _compare_http2_times(evidence: Evidence, behind: str, where: str) -> Ruling:
    kept, one, h2 = _name_http_cases(behind)
    seen = (
        f"{where}, with many requests at a time, a response was there after {{{h2}[latency]}} ms by HTTP/2,"
        f" and {{{kept}[latency]}} by HTTP/1.1 on many connections; the libraries are a part of both times."
    )
    if evidence.is_more("latency", kept, h2):
        return Ruling(_TRUE, seen)
    seen += (
        f" Beside a slow response 99 % took at most {{{h2}[waiting]}} ms by HTTP/2, and {{{one}[waiting]}} by"
        " HTTP/1.1 on a single connection."
    )
    return Ruling(_DEPENDS if evidence.is_more("waiting", one, h2) else _FALSE, seen)


def judge_rpc(evidence: Evidence) -> Ruling:
    """Look at the CPU of a call on one multiplexed connection, beside a new one for each and a pool."""
    is_cheaper = evidence.is_more("cpu", "short", "multiplexed")
    is_dearer = evidence.is_more("cpu", "multiplexed", "pool")
    seen = (
        "A call took {multiplexed[cpu]} µs of the provider's CPU where all share one connection (opened:"
        " {multiplexed[opened]}), {pool[cpu]} in a pool (opened: {pool[opened]}), {short[cpu]} on a"
        " connection of its own"
    )
    is_late = evidence.is_more("small", "multiplexed-slow", "pool-slow")
    if is_late:
        seen += (
            "; beside slow calls 99 % of the others took at most {multiplexed-slow[small]} ms on one"
            " connection, and {pool-slow[small]} in a pool"
        )
    if not is_cheaper:
        return Ruling(_FALSE, f"{seen}: it saved nothing.")
    lack = evidence.find_lack("small")
    if lack is not None:
        is_partial = not is_dearer  # else it is decided: slow calls could only speak against it, too
        verdict = _DEPENDS if is_dearer else _TRUE
        return Ruling(verdict, f"{seen}. {lack} The verdict is on the CPU alone.", is_partial)
    return Ruling(_DEPENDS if is_dearer or is_late else _TRUE, f"{seen}.")


# -- TLS, QUIC, a registry, a broker


def judge_tls(evidence: Evidence) -> Ruling:
    """Look at the CPU of both sides for a request on new, resumed and kept connections."""
    sides = {"proxy": "nginx", "server": "the server"}
    seen = "; ".join(
        f"{{tls13-new[{side}]}} µs of the CPU of {name} on a new connection, {{tls13-resumed[{side}]}} on a"
        f" resumed one, {{tls13-kept[{side}]}} on a kept one"
        for side, name in sides.items()
    )
    steps = {"Resuming": ("tls13-new", "tls13-resumed"), "Keeping": ("tls13-resumed", "tls13-kept")}
    saved = {
        step: [name for side, name in sides.items() if evidence.is_more(side, more, less)]
        for step, (more, less) in steps.items()
    }
    found = " ".join(f"{step} clearly saved CPU of {_join(names)}." for step, names in saved.items())
    seen = f"With TLS 1.3 a request took {seen}. {found}"
    if all(len(names) == len(sides) for names in saved.values()):
        return Ruling(_TRUE, seen)
    return Ruling(_DEPENDS if any(saved.values()) else _FALSE, seen)


def _join(names: Sequence[str]) -> str:
    return " and ".join(names) or "neither side"


def judge_migration(evidence: Evidence) -> Ruling:
    """Look at what goes on after a change of address: QUIC that tells, QUIC that is silent, and TCP."""
    survived = {case: evidence.get(case, "survived") == 1 for case in evidence.cases}
    one = evidence.get("quic-probe", "connections") == 1
    seen = (
        "Of an answer QUIC lost {quic-probe[lost]} tokens where the client sends something from its new"
        " address, and {quic[lost]} where it only listens; TCP lost {sse[lost]}."
    )
    if not (survived["quic-probe"] and one):
        return Ruling(_FALSE, f"{seen} The QUIC connection did not go on.")
    if survived["sse"]:
        return Ruling(_DEPENDS, f"{seen} TCP survived it too.")
    if survived["quic"]:
        return Ruling(_TRUE, seen)
    return Ruling(_DEPENDS, f"{seen} A server cannot know where a silent client has gone.")


def judge_registry(evidence: Evidence) -> Ruling:
    """Look at the CPU of a registry with short requests, beside one long connection each."""
    short, stream = evidence.get("http-short", "cpu"), evidence.get("stream", "cpu")
    seen = (
        "A beat took {http-short[cpu]} µs of the registry's CPU by short requests, {http-kept[cpu]} on kept"
        " connections, {stream[cpu]} on a long stream"
    )
    if short >= _MULTIPLES * stream:
        return Ruling(_TRUE, f"{seen}.")
    if evidence.is_more("cpu", "http-short", "stream"):
        return Ruling(_DEPENDS, f"{seen}: less, and not by multiples.")
    return Ruling(_FALSE, f"{seen}.")


def judge_broker(evidence: Evidence) -> Ruling:
    """Look at the delay of messages that are pulled long, beside pushed and polled ones."""
    poll, pull, push = (evidence.get(case, "delay") for case in ("short-poll", "long-poll", "push"))
    seen = (
        "A message was there after {long-poll[delay]} ms by long polling, {push[delay]} ms by a push,"
        " {short-poll[delay]} ms by polling"
    )
    if pull <= max(CLEAR * push, push + _SOON_MS):
        return Ruling(_TRUE, f"{seen}; a pull costs the broker {{long-poll[cpu]}} µs, a push {{push[cpu]}}.")
    return Ruling(_FALSE if pull >= _MOST * poll else _DEPENDS, f"{seen}.")
