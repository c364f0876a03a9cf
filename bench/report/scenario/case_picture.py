"""Draw the picture of a scenario's run: what its page draws, on one sheet."""

from pathlib import Path
from typing import TYPE_CHECKING

from bench.experiment.definition import Scenario
from bench.report import sheet, style
from bench.report.scenario import charts, text
from bench.runs.record import ScenarioRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURE = "picture"


def save_run(scenario: Scenario, run: ScenarioRun, directory: Path) -> tuple[Path, Path]:
    """Draw `run` into its directory; return the paths of the PNG and the SVG."""
    return style.save_figure(directory / PICTURE, draw, scenario, run)


def draw(scenario: Scenario, run: ScenarioRun) -> "Figure":
    """Return the picture: the title, what the run shows, and the panels for which there is something."""
    missing = [f"Not measured: {each}" for each in text.summarize_refusals(run)]
    sentence, bars = text.summarize(scenario, run), charts.build_bars(scenario, run)
    return sheet.compose(
        [scenario.title], sentence, charts.build_charts(scenario, run), bars, small_print=missing
    )
