"""Trials as if the tour had run: each claim with the figures that its table has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from bench.runs.record import RunRecord, ScenarioTrial, SubjectRecord, Trial, TrialWarning
from bench.scenarios import catalogue
from bench.tour.article import CLAIMS
from bench.tour.ruling import ArticleClaim, RuledClaim, rule
from bench.tour.steps import SNIPPET, Step, find_subject

Values = Mapping[str, Mapping[str, float | None]]
BY_NAME = {claim.name: claim for claim in CLAIMS}
BUSY = TrialWarning("machine-shared", "others", voids=True)
WRONG = TrialWarning("mode-not-short", "others", voids=True)


def make_trial(
    claim: ArticleClaim, number: int, case: str, values: Mapping[str, float | None], **changes: Any
) -> Trial | ScenarioTrial:
    """Return a trial of `case` whose figures, by their names in the claim's table, have `values`."""
    known: dict[str, Any] = {"trial": number, "lab": "namespaces", "valid": True, **changes}
    if claim.step == SNIPPET:
        base: Trial | ScenarioTrial = Trial(
            mode="short", closes_first=None, subject=SubjectRecord(case, "1"), **known
        )
    elif claim.step == "incident":
        base = Trial(mode=case, closes_first=None, subject=SubjectRecord("asyncio", "1"), **known)
    else:
        variant, _, subject = case.partition(", ")
        subject = subject or find_subject(claim.step) or ""
        version = "-" if subject == "direct" else "1"
        base = ScenarioTrial(variant=variant, subject=SubjectRecord(subject, version), **known)
    plain: dict[str, Any] = msgspec.to_builtins(base)
    for name, value in values.items():
        *path, last = claim.figures[name].key.split(".")
        place = plain
        for key in path:
            place = place.setdefault(key, {})
        place[last] = value
    return msgspec.convert(plain, type(base))


def take_step(claim: ArticleClaim, *rounds: Values, **changes: Any) -> Step:
    """Return the step of `claim` as if it had been run, with a trial of each case in each round."""
    trials = [
        make_trial(claim, number, case, values, **changes)
        for number, (case, values) in enumerate((pair for each in rounds for pair in each.items()), 1)
    ]
    is_scenario = claim.step in catalogue.NAMES
    plan = {"scenario": claim.step} if is_scenario else {}
    run: RunRecord[Any] = RunRecord(plan, {}, "2026-03-14", tuple(trials))
    return Step(claim.step, catalogue.load(claim.step) if is_scenario else None, run)


def rule_by_reference(name: str, reference: Values, *rounds: Values, **changes: Any) -> RuledClaim:
    """Return what becomes of a claim where a reference run gave `reference`, and this machine `rounds`."""
    claim = BY_NAME[name]
    there = take_step(claim, reference).run
    assert there is not None
    machine = {"cpu_model": "EPYC", "git": {"commit": "0123456789abcdef"}}
    (ruled,) = rule(
        [claim], [take_step(claim, *rounds, **changes)], {claim.step: replace(there, machine=machine)}
    )
    return ruled


def rule_on(name: str, *rounds: Values, **changes: Any) -> RuledClaim:
    """Return what becomes of the claim called `name`."""
    claim = BY_NAME[name]
    (ruled,) = rule([claim], [take_step(claim, *rounds, **changes)])
    return ruled
