"""The figures and warnings of a stream trial, from what its readers reported. Pure."""

from typing import Any

from bench.experiment.definition import Figures
from bench.experiment.trial_result import TrialResult
from bench.runs.record import TrialWarning
from bench.scenarios.stream.settings import LATE_MS, StreamSettings


def compute_figures(result: TrialResult, variant: str, settings: StreamSettings) -> Figures:
    """Return what a trial measured."""
    done, *pages = result.done
    expected = settings.streams * settings.tokens
    figures: dict[str, Any] = {name: done[name] for name in ("tokens", "doubled", "cut")}
    figures["lost"] = expected - done["tokens"] + done["doubled"]
    for page in pages:
        numbers = [int(text.split(" ", 1)[0]) for _, text in page["received"] if not text.endswith(" end")]
        figures |= {"browser_tokens": len(numbers), "browser_lost": settings.tokens - len(set(numbers))}
    curve = [(round(at_s, 4), float(count)) for count, at_s in enumerate(done["arrivals_s"], 1)]
    # Answers that come in time look all alike, and need no line each.
    is_late = bool(curve) and curve[0][0] * 1000 > LATE_MS
    doubled = TrialWarning("doubled", f"{done['doubled']:,} tokens came twice", voids=True)
    return Figures(
        units=done["tokens"],
        figures=figures,
        times_us={name: dict(done[f"{name}_us"]) for name in ("first", "gaps", "held")},
        curves={"tokens": curve} if variant == "sse" or done["cut"] or is_late else {},
        warnings=[doubled] if done["doubled"] else [],
    )
