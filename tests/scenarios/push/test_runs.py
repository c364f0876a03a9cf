"""push, played small: every message reaches every subscriber once, over the connections of the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.scenarios.push import rising_rate
from tests import bench_process, needs

SMALL = ("--set", "subscribers=5", "--set", "messages_per_s=10", "--set", "poll_every_s=0.2",
         "--set", "warmup_s=0.4", "--set", "duration_s=1")  # fmt: skip
WAYS = ["short-poll-new", "short-poll", "long-poll", "sse", "websocket", "websocket-picows"]
Trials = dict[tuple[str, str], dict[str, Any]]


def play(root: Path, *arguments: str) -> Trials:
    """Run push with `arguments` and return its trials by way and subject."""
    answer = bench_process.scenario("push", *SMALL, *arguments, root=root)
    return {(trial["variant"], trial["subject"]["name"]): trial for trial in answer["trials"]}


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Trials:
    return play(tmp_path_factory.mktemp("push"), "--subject", "direct")


@pytest.mark.long
@pytest.mark.parametrize("variant", WAYS)
def test_nothing_is_lost_or_doubled(trials: Trials, variant: str) -> None:
    trial = trials[variant, "direct"]
    figures = trial["figures"]
    assert (figures["lost"], figures["doubled"], figures["reconnects"]) == (0, 0, 0)
    assert figures["delivered"] == 5 * figures["published"] > 0
    assert trial["units"] == figures["delivered"]
    assert not [warning for warning in trial["warnings"] if warning["code"] == "witnesses-disagree"]


@pytest.mark.long
def test_a_poll_on_new_connections_opens_one_for_each_request(trials: Trials) -> None:
    new, kept = trials["short-poll-new", "direct"], trials["short-poll", "direct"]
    assert new["hops"]["front"]["accepted"] > new["figures"]["requests"] > 0
    assert kept["hops"]["front"]["accepted"] == 5 + 1


@pytest.mark.long
def test_what_is_pushed_needs_no_requests(trials: Trials) -> None:
    for variant in ("sse", "websocket", "websocket-picows"):
        trial = trials[variant, "direct"]
        # Beside the one with which a subscriber begins; on a busy machine that may fall into the window.
        assert trial["figures"]["requests"] <= 5
        assert trial["hops"]["front"]["accepted"] == 5 + 1


@pytest.mark.parametrize(
    ("subject", "variants"),
    [
        ("direct", ("long-poll", "websocket-picows")),
        pytest.param(
            "asyncio", ("long-poll", "sse", "websocket", "websocket-picows"), marks=pytest.mark.long
        ),
    ],
)
def test_a_server_that_drops_half_of_its_subscribers_costs_reconnects_and_no_message(
    subject: str, variants: tuple[str, ...], tmp_path: Path
) -> None:
    flags = ("--subject", subject, "--set", "drop_every_s=0.3", "--set", "retry_s=0.05")
    result = play(tmp_path, *flags, *(flag for variant in variants for flag in ("--variant", variant)))
    for variant in variants:
        figures, hops = result[variant, subject]["figures"], result[variant, subject]["hops"]
        if variant == "long-poll" and subject == "asyncio":
            # It may retry the request on a new connection (RFC 9112, 9.3.1): the client sees no drop.
            assert hops["back"]["opened"] > 5 + 1
        else:
            assert figures["reconnects"] > 0, variant
        assert (figures["lost"], figures["doubled"]) == (0, 0), variant


@pytest.mark.parametrize("variant", ["sse", pytest.param("websocket-picows", marks=pytest.mark.long)])
def test_a_subscriber_that_does_not_read_gets_all_of_it_later(variant: str, tmp_path: Path) -> None:
    flags = ("--set", "stalled=2", "--set", "message_bytes=200000", "--variant", variant)
    (trial,) = play(tmp_path, "--subject", "direct", *flags).values()
    figures = trial["figures"]
    assert figures["stalled_delivered"] >= 2 * figures["published"] > 0
    assert (figures["lost"], figures["delivered"]) == (0, 3 * figures["published"])


@pytest.mark.long
@pytest.mark.parametrize("variant", ["websocket", "websocket-picows"])
def test_a_message_beyond_the_frame_limit_ends_the_subscriber_and_the_trial_says_so(
    variant: str, tmp_path: Path
) -> None:
    flags = ("--set", "message_bytes=5000", "--set", "frame_limit_bytes=1000", "--variant", variant)
    (trial,) = play(tmp_path, "--subject", "direct", *flags).values()
    assert trial["figures"]["too_large"] == 5
    assert not trial["valid"]
    assert {"too-large", "lost"} <= {warning["code"] for warning in trial["warnings"]}


@pytest.mark.long
def test_a_rising_rate_ends_at_a_limit(tmp_path: Path) -> None:
    flags = (
        "--set",
        "find_limit=true",
        "--set",
        "step_s=0.1",
        "--set",
        "messages_per_s=200",
        "--variant",
        "sse",
    )
    (trial,) = play(tmp_path, "--subject", "direct", *flags).values()
    figures = trial["figures"]
    carried = figures["limit_per_s"]  # a machine that stands still for a moment is late at the first rate
    assert carried is None or carried in [
        5 * rising_rate.due_in(step, 0.1, 200) / 0.1 for step in range(rising_rate.STEPS)
    ]
    assert (figures["limit_reached"], figures["lost"], figures["doubled"]) == (1, 0, 0)
    assert figures["delivered"] == 5 * figures["published"]


@pytest.mark.long
def test_a_browser_is_a_subscriber_like_the_others(tmp_path: Path) -> None:
    needs.module("playwright")
    needs.need("chromium")
    flags = ("--set", "browser=true", "--variant", "sse", "--variant", "websocket")
    for trial in play(tmp_path, "--subject", "asyncio", *flags).values():
        figures = trial["figures"]
        assert figures["browser_delivered"] >= figures["published"] > 0
        assert (figures["browser_lost"], figures["browser_doubled"]) == (0, 0)
