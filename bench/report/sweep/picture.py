"""Draw a sweep: a picture for each axis, and one of heat maps where there are two: what its page draws."""

from pathlib import Path
from typing import TYPE_CHECKING

from bench.plan.grid import Axis
from bench.report import sheet, style
from bench.report.sweep import charts, search_text, text
from bench.runs.sweep_trial import SweepRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HOW_TO_READ = (
    "Medians over the trials that count; the thin line goes from the least to the greatest. A cross on the"
    " axis: no figure counts. Ringed: the rate before half of the ports were used."
)
_HOW_TO_READ_HEAT = (
    "Medians over the trials that count; <: before half of the ports were used; hatched: no figure counts."
)


def save_run(run: SweepRun) -> list[Path]:
    """Draw the sweep into its folder; return the paths of the PNGs."""
    folder = Path(str(run.directory))
    pictures = text.list_pictures(run).items()
    return [style.save_figure(folder / name, draw, run, axis)[0] for name, axis in pictures]


def draw(run: SweepRun, axis: Axis | None) -> "Figure":
    """Return the picture of the figures along an axis, or, where that is None, of the heat maps."""
    title = [text.format_title(run)]
    if axis is None:
        heats = charts.build_heat_maps(run)
        return sheet.compose(title, "", None, [], heats=heats, small_print=[_HOW_TO_READ_HEAT])
    sentences = [search_text.summarize(run)] if run.objective else []
    sentence = " ".join([*sentences, *text.summarize_axis(run, axis)])
    return sheet.compose(title, sentence, charts.build_charts(run, axis), [], small_print=[_HOW_TO_READ])
