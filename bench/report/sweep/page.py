"""Build the page of a sweep: what bends where, the pictures, the table, and all of it as data."""

from bench.analysis import sweep
from bench.plan import toml
from bench.report import certainty
from bench.report.html import Code, FactList, Page, Prose, Section
from bench.report.run import machines, tables
from bench.report.run import page as run_page
from bench.report.sweep import charts, search_text, text
from bench.runs.record import TrialRecord
from bench.runs.sweep_trial import SweepRun

_HOW_TO_READ = (
    "Figures are medians over the trials of a cell that count, with the least and the greatest. Where half of"
    " the ports were used (marked <) the rate is that of the time before. Hatched: no figure counts. A knee"
    " is where the curve of medians is farthest from a straight line between its ends (Kneedle), with the"
    " interval of resampled trials; where that is not clear, none is named.",
)


def build_page(run: SweepRun) -> Page:
    """Return the page of `run`, as it is in its directory."""
    sentences = text.conclude(run)
    return Page(
        kicker="bench: connection reuse behind a reverse proxy",
        title=text.format_title(run),
        sentence=sentences[0],
        warnings=[*text.summarize_warnings(run), *run.damage],
        sections=_sections(run, sentences[1:]),
        started=run.started,
        place=machines.format_place(run),
        certainty=_format_certainty(run),
    )


def _format_certainty(run: SweepRun) -> str:
    """Return how many trials stand behind the page: a search has its interval, a sweep only its knees'."""
    if run.objective and run.trials:
        return f"{search_text.format_trial_count(run)}."
    cells: dict[str, list[TrialRecord]] = {}
    for trial in run.trials:
        cells.setdefault(str(trial.cell), []).append(trial)
    return certainty.count_trials(cells.values(), "cell")


def _sections(run: SweepRun, sentences: list[str]) -> list[Section]:
    drawn = [
        Section(f"The figures along {axis.name}", [charts.build_charts(run, axis)])
        for axis in sweep.grid_of(run).axes
        if run.trials
    ]
    if len(sweep.grid_of(run).axes) == 2:
        drawn.append(Section("Both axes", charts.build_heat_maps(run)))
    varied = [(axis.name, ", ".join(map(axis.format, axis.values))) for axis in sweep.grid_of(run).axes]
    return [
        *([Section("", [Prose(sentence) for sentence in sentences])] if sentences else []),
        *(drawn if run.trials else []),
        Section("The figures", [text.build_table(run), *map(Prose, _HOW_TO_READ)]),
        Section("What was varied", [FactList(varied)]),
        Section("Every trial", [tables.build_trial_table(run)], folded=True),
        run_page.build_place_section(run),
        Section("The plan that the cells share", [Code(toml.to_toml(run.plan))], folded=True),
        run_page.build_data_section(run),
    ]
