"""What a scenario's plan may say, and which cases it means."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.errors import PlanError
from bench.experiment import scenario_run as runs
from bench.experiment.definition import Need, Variant
from bench.experiment.proxy_setup import ProxySetup
from bench.lab import LabRequest
from bench.report.live import show_live
from bench.subjects.subject import Traffic
from tests.scenarios.sample_scenario import SCENARIO, TeaSettings


def test_an_empty_plan_is_every_way_on_the_default_subjects() -> None:
    asked = SCENARIO.plan({})
    assert [case.name for case in asked.cases] == [
        "bag direct",
        "bag nginx",
        "loose-leaf direct",
        "loose-leaf nginx",
    ]
    assert (asked.trials, asked.lab, asked.settings) == (1, "auto", TeaSettings())


def test_settings_are_laid_over_the_defaults_as_their_own_type() -> None:
    asked = SCENARIO.plan({"settings": {"cups": 5, "steep_s": 4, "sugar": True}})
    assert asked.settings == TeaSettings(cups=5, steep_s=4.0, sugar=True)
    assert asked.to_json()["settings"] == {"cups": 5, "steep_s": 4.0, "sugar": True}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"variants": ["bags"]}, "variants = 'bags' is not one of bag, loose-leaf"),
        ({"variants": ["bag", "bag"]}, "names one twice"),
        ({"variants": "bag"}, "variants = 'bag' is not a list of texts"),
        ({"subjects": ["cady"]}, "subjects = 'cady' is not one of asyncio, direct, nginx"),
        ({"trials": 0}, "trials = 0 must be at least 1"),
        ({"lab": "kitchen"}, "lab = 'kitchen' is not one of"),
        ({"pots": 1}, "unknown key pots"),
        ({"settings": {"milk": 1}}, "unknown key settings.milk; known here: cups, steep_s, sugar"),
        ({"settings": {"cups": "many"}}, "settings.cups = 'many' is not a whole number"),
        ({"settings": {"cups": 0}}, "settings.cups = 0 must be above 0"),
        ({"settings": {"steep_s": float("inf")}}, "settings.steep_s = inf is not a finite number"),
    ],
)
def test_what_makes_no_sense_is_named(values: dict[str, Any], says: str) -> None:
    with pytest.raises(PlanError) as refused:
        SCENARIO.plan(values)
    assert says in str(refused.value)


def test_a_subject_may_name_its_program() -> None:
    (case,) = SCENARIO.plan({"variants": ["bag"], "subjects": ["nginx@wheel"]}).cases
    assert (case.subject.name, case.subject.program, case.subject_name) == ("nginx", "wheel", "nginx@wheel")


def test_a_case_that_cannot_be_measured_is_refused_with_the_reason() -> None:
    lacking = replace(
        SCENARIO,
        variants=(Variant("bag", "", (Need("no_such_module", "tea"),)), Variant("loose-leaf", "")),
        refuse=lambda case, settings: "has no kettle" if case.subject.name == "nginx" else None,
    )
    cases, refused = runs.sort_out(lacking, lacking.plan({}))
    assert [case.name for case in cases] == ["loose-leaf direct"]
    assert [(each.variant, each.subject, each.reason) for each in refused] == [
        ("bag", "direct", "needs no_such_module: pip install '.[tea]'"),
        ("bag", "nginx", "has no kettle"),
        ("loose-leaf", "nginx", "has no kettle"),
    ]


def test_an_illustration_is_shown_without_a_proxy_only() -> None:
    variants = (Variant("bag", "", illustrates="Assam"), Variant("loose-leaf", ""))
    shown = replace(SCENARIO, variants=variants, subjects=("direct", "asyncio"))
    cases, refused = runs.sort_out(shown, shown.plan({"subjects": ["direct", "asyncio"]}))
    assert [case.name for case in cases] == ["bag direct", "loose-leaf direct", "loose-leaf asyncio"]
    assert [(each.variant, each.subject, each.reason) for each in refused] == [
        ("bag", "asyncio", "Assam's own client is shown without a proxy only")
    ]


QUIC = Traffic(client_http="3")


def test_what_a_proxy_cannot_do_is_refused_before_anything_starts() -> None:
    asking = replace(
        SCENARIO,
        proxy_setup=lambda case, settings: ProxySetup(
            3, traffic=QUIC if case.variant == "bag" else Traffic()
        ),
        lab_request=lambda case, settings: LabRequest(
            proxy_addresses=2 if case.variant == "loose-leaf" else 1
        ),
        subjects=("direct", "asyncio"),
        unfit="drinks coffee",
    )
    cases, refused = runs.sort_out(asking, asking.plan({"subjects": ["direct", "asyncio", "envoy"]}))
    assert [case.name for case in cases] == ["bag direct", "loose-leaf direct", "loose-leaf asyncio"]
    assert [(each.variant, each.subject, each.reason) for each in refused] == [
        ("bag", "asyncio", "speaks no HTTP/3 with clients"),
        ("bag", "envoy", "drinks coffee"),
        ("loose-leaf", "envoy", "drinks coffee"),
    ]


def test_a_program_that_is_not_here_is_refused_and_the_rest_is_measured() -> None:
    asked = SCENARIO.plan({"variants": ["bag"], "subjects": ["direct", "nginx@/nowhere"]})
    cases, (refused,) = runs.sort_out(SCENARIO, asked)
    assert [case.name for case in cases] == ["bag direct"]
    assert refused.reason.startswith("is not here as /nowhere; install it")


def test_where_no_case_can_be_measured_the_first_one_is_named(tmp_path: Path) -> None:
    closed = replace(SCENARIO, refuse=lambda _case, _settings: "the kitchen is closed")
    with (
        show_live(io.StringIO(), silent=True) as shown,
        pytest.raises(PlanError, match="nothing can be measured: bag on direct: the kitchen is closed"),
    ):
        runs.perform(closed, closed.plan({}), "loopback", tmp_path, shown)
    assert list(tmp_path.iterdir()) == []
