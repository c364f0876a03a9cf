"""Tell the tour: claim by claim, each with a verdict, the figures that it stands on, and the picture."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bench.analysis import claims
from bench.analysis.sides import split
from bench.report.charts import Charts
from bench.report.html import Badge, Block, Glance, Hint, JudgedClaim, Page, Prose, Section, Table
from bench.report.run import charts as run_charts
from bench.report.run import finding, incident, tables
from bench.report.run import text as run_text
from bench.report.run.page import build_machine_section
from bench.report.scenario import charts as scenario_charts
from bench.report.scenario import text as scenario_text
from bench.report.scenario.page import BARS_HINT
from bench.report.text_table import explain_cells, format_sample, format_warnings
from bench.runs import timeline
from bench.tour.evidence import CLEAR, ClaimVerdict, Evidence
from bench.tour.ruling import RuledClaim
from bench.tour.steps import SNIPPET, Step

BADGES = {
    ClaimVerdict.TRUE: Badge("True", "✓", "yes"),
    ClaimVerdict.FALSE: Badge("False", "✗", "no"),
    ClaimVerdict.DEPENDS: Badge("It depends", "±", "mixed"),
    ClaimVerdict.UNMEASURED: Badge("Not measured here", "–", "open"),
}
CELL = re.compile(r"\{([^{}\[\]]+)\[(\w+)\]\}")
"""What stands for a cell of the table in the reason of a verdict: the case, and the figure."""
_WORDS = {
    ClaimVerdict.TRUE: "true",
    ClaimVerdict.FALSE: "false",
    ClaimVerdict.DEPENDS: "that depend",
    ClaimVerdict.UNMEASURED: "not measured here",
}
_MODES = "short: an upstream connection for each request; keepalive: a pool of them, used again and again."
_IDIOMS = (
    "default: nothing of it is written; snippet: what is copied, HTTP/1.1 and an empty `Connection`; full:"
    " the same, and `keepalive N` in the `upstream`."
)
_WIDEST = 4
"""Cases beside each other: of more each is a row."""


# -- on the terminal


def format_claims(ruled: Sequence[RuledClaim]) -> str:
    """Return a line for each claim: the verdict and the claim."""
    width = max(map(len, ClaimVerdict)) + 2
    return "".join(f"{each.ruling.verdict:<{width}}{each.claim.heading}\n" for each in ruled)


def format_end(ruled: Sequence[RuledClaim]) -> str:
    """Return how many claims have which verdict, and why some have none: a line for each reason."""
    reasons: dict[str, list[str]] = {}
    for each in ruled:
        if each.ruling.verdict is ClaimVerdict.UNMEASURED:
            reasons.setdefault(explain(each), []).append(each.claim.name)
    lines = [f"not measured: {', '.join(names)}: {reason}" for reason, names in reasons.items()]
    return f"{count_verdicts(ruled)}\n{format_warnings(lines)}"


def count_verdicts(ruled: Sequence[RuledClaim]) -> str:
    """Return how many claims have which verdict."""
    found = Counter(each.ruling.verdict for each in ruled)
    counted = ", ".join(f"{found[verdict]} {word}" for verdict, word in _WORDS.items() if found[verdict])
    return f"{len(ruled)} claim{'s'[: len(ruled) != 1]}: {counted}."


def explain(ruled: RuledClaim) -> str:
    """Return why a claim has its verdict, in the figures of its table."""

    def fill(cell: re.Match[str]) -> str:
        case, figure, evidence = cell[1], cell[2], ruled.evidence
        # What others said (why a step failed) may look like a cell, and is none.
        is_known = case in evidence.cases and figure in evidence.figures
        return format_median(evidence, case, figure) if is_known else cell[0]

    return CELL.sub(fill, ruled.ruling.why)


# -- the page


def build_page(ruled: Sequence[RuledClaim], steps: Sequence[Step], started: str) -> Page:
    """Return the page of the tour's claims; what each of its steps measured is below them."""
    machine = next((step.run.machine for step in steps if step.run is not None), {})
    return Page(
        kicker="bench: a tour",
        title="From short connections to QUIC: what is said, and what this machine shows",
        sentence=(
            f"{count_verdicts(ruled)} A verdict stands on the figures below it, which this machine gave"
            " within minutes, or on the document that it names."
        ),
        warnings=[f"{step.title}: {step.problem}" for step in steps if step.problem is not None],
        sections=[
            *(_build_section(number, each) for number, each in enumerate(ruled, 1)),
            *_build_steps([step for step in steps if step.run is not None and step.run.trials]),
            *([replace(build_machine_section(machine), folded=True)] if machine else []),
        ],
        started=started,
    )


def _build_section(number: int, ruled: RuledClaim) -> Section:
    badge = BADGES[ruled.ruling.verdict]
    judged = JudgedClaim(ruled.claim.text, badge.tone, explain(ruled), ruled.claim.documents)
    return Section(f"{number}. {ruled.claim.heading}", [judged, *_build_evidence(ruled)], badge=badge)


def _build_evidence(ruled: RuledClaim) -> Iterator[Block]:
    if ruled.claim.documented is not None or not any(ruled.evidence.cases.values()):
        return
    table = build_table(ruled.evidence)
    yield table
    yield Hint(_describe(ruled))
    if meanings := _explain_cases(ruled):
        yield Hint(meanings)
    yield from (Hint(line) for line in explain_cells(table).splitlines())
    if ruled.step is not None:
        yield from _select_pictures(ruled.step, ruled.claim.pictures)


def build_table(evidence: Evidence) -> Table:
    """Return the figures of a claim: a row for each, and a column for each case, or the other way round."""
    names = [
        name
        for name in evidence.figures
        if any(evidence.sample(case, name).values for case in evidence.cases)
    ]
    columns = [
        [_format_cell(evidence, case, name) for name in names] + [_count_trials(evidence, case)]
        for case in evidence.cases
    ]
    labels = [*(evidence.figures[name].label for name in names), "trials that count in full"]
    if len(columns) <= _WIDEST:
        rows = zip(labels, *columns, strict=True)
        return Table(("", *evidence.cases), [tuple(row) for row in rows])
    rows_of_cases = [(case, *cells) for case, cells in zip(evidence.cases, columns, strict=True)]
    return Table(("", *labels), rows_of_cases)


def format_median(evidence: Evidence, case: str, name: str) -> str:
    """Return a figure as a sentence has it: what its cell in the table begins with."""
    return _format_cell(evidence, case, name).partition(" (")[0]


def _format_cell(evidence: Evidence, case: str, name: str) -> str:
    if not evidence.figures[name].is_asked_of(case):
        return ""
    return format_sample(evidence.sample(case, name), evidence.figures[name].unit)


def _count_trials(evidence: Evidence, case: str) -> str:
    trials = evidence.cases[case]
    return f"{evidence.count(case)}\u00a0of\u00a0{len(trials)}"


def _describe(ruled: RuledClaim) -> str:
    """Return where the figures come from, and how sure they are."""
    evidence = ruled.evidence
    every = [trial for trials in evidence.cases.values() for trial in trials]
    subjects = {f"{trial.subject.name} {trial.subject.version}".removesuffix(" -") for trial in every}
    where = ", ".join(sorted(subjects)) if ruled.claim.step != SNIPPET else "an nginx each"
    behind = "without a proxy" if subjects == {"direct"} else f"proxy: {where}"
    parts = [f"{behind}; lab: {', '.join(sorted({trial.lab for trial in every}))}."]
    if any(evidence.count(case) < len(trials) for case, trials in evidence.cases.items()):
        parts.append(f"Not every trial counts in full, since {claims.explain(every)}.")
    if ruled.claim.model_of:
        parts.append(f"A model of {ruled.claim.model_of}, not {ruled.claim.model_of} itself.")
    if max(map(len, evidence.cases.values())) == 1:
        parts.append(
            f"One short trial of each: no spread is known, so that a ratio below {CLEAR:g} decides nothing."
        )
    else:
        parts.append("Medians, with the least and the greatest in brackets.")
    text = " ".join(parts)
    return f"{text[0].upper()}{text[1:]}"


def _explain_cases(ruled: RuledClaim) -> str:
    """Return what each case is, where its name alone does not tell."""
    if ruled.step is None:
        return ""
    if ruled.claim.step == SNIPPET:
        return _IDIOMS
    if ruled.step.scenario is None:
        return _MODES
    known = {variant.name: variant.summary for variant in ruled.step.scenario.variants}
    return "; ".join(f"{case}: {known[case]}" for case in ruled.evidence.cases if case in known) + "."


def _select_pictures(step: Step, titles: Sequence[str]) -> Iterator[Block]:
    """Yield what is drawn of a step under one of `titles`: its bars, then its lines."""
    glance, lines = _draw(step)
    bars = [bars for bars in glance.blocks if bars.title in titles]
    if bars:
        yield replace(glance, blocks=bars)
    chosen = [chart for chart in lines.charts if chart.title in titles] if lines is not None else []
    if lines is not None and chosen:
        yield replace(lines, charts=chosen)


def _draw(step: Step) -> tuple[Glance, Charts | None]:
    """Return all that is drawn of a step."""
    assert step.run is not None, "a step without a run has no evidence"
    if step.scenario is not None:
        bars = scenario_charts.build_bars(step.scenario, step.run)
        return Glance(bars, BARS_HINT), scenario_charts.build_charts(step.scenario, step.run)
    if step.name == SNIPPET:
        return replace(incident.build_bars([step.run]), hint=""), None
    directory = step.run.directory
    sides = split(step.run, timeline.read(Path(directory)) if directory is not None else None)
    return run_charts.build_glance(sides), run_charts.build_charts(sides)


def _build_steps(steps: Sequence[Step]) -> Iterator[Section]:
    """Yield all figures of each step: the claims show a part of them."""
    if steps:
        yield Section("All figures", [Prose("What each run measured, whole, with its warnings:")])
    for step in steps:
        yield Section(step.title, list(_build_figures(step)), folded=True, is_listed=False)


def _build_figures(step: Step) -> Iterator[Block]:
    run = step.run
    assert run is not None, "a step without a run has no section"
    if step.scenario is not None:
        yield Prose(scenario_text.summarize(step.scenario, run))
        yield scenario_text.build_table(step.scenario, run)
        yield from (Prose(f"Not measured: {line}") for line in scenario_text.summarize_refusals(run))
        warnings: Sequence[str] = scenario_text.summarize_warnings(run)
    else:
        is_snippet = step.name == SNIPPET
        yield Prose(incident.summarize(run) if is_snippet else finding.summarize(run))
        yield incident.build_table(run) if is_snippet else tables.build_result_table(run)
        warnings = run_text.summarize_warnings(run)
    yield from (Prose(f"Warning: {warning}") for warning in warnings)
    if run.directory is not None:
        yield Hint(f"Recorded in {run.directory}.")
