"""The figures and warnings of a chat trial, from what its members reported. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.experiment.definition import Figures
from bench.experiment.trial_result import TrialResult
from bench.runs.record import TrialWarning
from bench.scenarios.chat.settings import ChatSettings

_CURVE_STEP_NS = 50_000_000
_WRONG = ("lost", "doubled", "out_of_order")
_COUNTED = ("sent", "received", *_WRONG, "reconnects", "refused", "presences")


def compute_figures(result: TrialResult, variant: str, settings: ChatSettings) -> Figures:
    """Return what a trial measured."""
    done = result.done[0]
    dropped, back = sorted(done["dropped_ns"]), sorted(done["back_ns"])
    fault_ns = result.first.moment_ns + round(settings.fault_at_s * 1e9)
    after = [each for each in back if each >= fault_ns]
    has_fault = variant in ("reload", "restart")
    return Figures(
        units=done["received"],
        figures={
            **{name: done[name] for name in _COUNTED},
            "dropped": len(dropped),
            "fault_at_s": settings.fault_at_s if has_fault else None,
            "all_back_s": (after[-1] - fault_ns) / 1e9 if has_fault and after else None,
        },
        times_us={"delay": dict(done["delay_us"])},
        curves={"members": _curve(result, dropped, back, settings.members)} if has_fault else {},
        warnings=_warnings(done),
    )


def _curve(
    result: TrialResult, dropped: Sequence[int], back: Sequence[int], members: int
) -> list[tuple[float, float]]:
    """Return how many members were in their rooms along the window."""
    begin_ns, end_ns = result.first.moment_ns, result.last.moment_ns
    points = []
    for moment_ns in range(begin_ns, end_ns, _CURVE_STEP_NS):
        away = sum(each <= moment_ns for each in dropped) - sum(each <= moment_ns for each in back)
        points.append((round((moment_ns - begin_ns) / 1e9, 3), float(members - away)))
    return points


def _warnings(done: Mapping[str, Any]) -> list[TrialWarning]:
    wrong = [f"{done[name]:,} {name.replace('_', ' ')}" for name in _WRONG if done[name]]
    if not wrong:
        return []
    message = f"messages went wrong: {', '.join(wrong)}"
    return [TrialWarning("lost", message, "the numbers of the rooms tell", voids=True)]
