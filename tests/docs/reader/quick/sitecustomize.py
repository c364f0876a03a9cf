"""Python imports it at its start (site): here `bench` measures for a moment, whatever it was told.

What is shortened: the warm-up and the window of a trial, its repetitions, and the cases of a run. Scenarios
have the settings of `bench tour`, unless they are given. A watch ends after seconds, and so do its stretches.
A busy machine disturbs nothing, and is fast enough.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any

MOST = {"warmup_s": 0.2, "duration_s": 0.6, "trials": 1}
MOST_CASES, MOST_SEARCHED = 3, 4
WATCH_S, STRETCH_S = 4.0, 1.0


def _shorten(made: type) -> None:
    """Have each instance of a dataclass hold no more than MOST."""
    init = made.__init__  # type: ignore[misc]

    def short_init(self: object, *args: Any, **given: Any) -> None:
        init(self, *args, **given)
        for name, most in MOST.items():
            if hasattr(self, name):
                object.__setattr__(self, name, min(most, getattr(self, name)))

    made.__init__ = short_init  # type: ignore[misc]


def _shorten_plans(run_plan: Any) -> None:
    for made in (run_plan.Load, run_plan.Plan):
        _shorten(made)
    parse = run_plan.parse

    def brief_parse(*values: Any, **named: Any) -> Any:
        plan = parse(*values, **named)  # whose dataclasses were made without __init__
        return replace(plan, load=replace(plan.load))

    run_plan.parse = brief_parse


def _shorten_scenarios(definition: Any) -> None:
    plan = definition.Scenario.plan

    def brief_plan(self: Any, values: dict[str, Any]) -> Any:
        settings = {**self.brief.get("settings", {}), **values.get("settings", {})}
        return plan(self, {**values, "settings": settings})

    definition.Scenario.plan = brief_plan


def _take_few_cases(recorder: Any) -> None:
    numbered = recorder.numbered

    def few(items: Sequence[Any], blocks: int, *more: Any) -> Any:
        return numbered(items[:MOST_CASES], min(blocks, MOST["trials"]), *more)

    recorder.numbered = few


def _search_briefly(search: Any) -> None:
    next_rate = search._next_rate
    search._next_rate = lambda measured, sought: (
        None if len(measured) >= MOST_SEARCHED else next_rate(measured, sought)
    )


def _be_alone(other_work: Any) -> None:
    other_work.read = other_work.read_cores = lambda cores: None


def _be_fast(validity: Any) -> None:
    validity.machine_warnings = lambda *readings: iter(())


def _watch_briefly(session: Any) -> None:
    run = session.Session.run

    def brief_run(self: Any, consumers: Any, wait: Any, duration_s: float | None = None) -> Any:
        return run(self, consumers, wait, None if duration_s is None else min(WATCH_S, duration_s))

    session.Session.run = brief_run


def _shorten_stretches(stretches: Any) -> None:
    stretches.LASTS_S = STRETCH_S


CHANGES: dict[str, Callable[[Any], None]] = {
    "bench.plan.run_plan": _shorten_plans,
    "bench.experiment.definition": _shorten_scenarios,
    "bench.experiment.recorder": _take_few_cases,
    "bench.sweep.search": _search_briefly,
    "bench.observe.other_work": _be_alone,
    "bench.analysis.validity": _be_fast,
    "bench.watch.session": _watch_briefly,
    "bench.watch.stretches": _shorten_stretches,
}


class _Changing(MetaPathFinder):
    """Finds what the other finders find, and changes it once it has been run."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name not in CHANGES:
            return None
        others = (each for each in sys.meta_path if each is not self)
        spec = next(found for each in others if (found := each.find_spec(name, path, target)) is not None)
        assert spec.loader is not None
        run = spec.loader.exec_module

        def run_and_change(module: Any) -> None:
            run(module)
            CHANGES[name](module)

        spec.loader.exec_module = run_and_change  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, _Changing())
