"""Tell the tour: claim by claim, each with a verdict, the figures that it stands on, and the picture."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.analysis import claims
from bench.analysis.sides import split
from bench.report.charts import Charts, explain_bars
from bench.report.html import Badge, Block, Glance, Hint, JudgedClaim, Page, Prose, Section, Table
from bench.report.run import charts as run_charts
from bench.report.run import finding, incident, tables
from bench.report.run import text as run_text
from bench.report.run.page import build_machine_section
from bench.report.scenario import charts as scenario_charts
from bench.report.scenario import text as scenario_text
from bench.report.text_table import explain_cells, format_sample, format_warnings
from bench.runs import timeline
from bench.runs.record import RunRecord
from bench.scenarios import catalogue
from bench.tour.evidence import CLEAR, ClaimVerdict, Evidence, Ruling
from bench.tour.ruling import ArticleClaim, Reference, RuledClaim
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
    ClaimVerdict.TRUE: ("is true", "are true"),
    ClaimVerdict.FALSE: ("is false", "are false"),
    ClaimVerdict.DEPENDS: ("depends", "depend"),
    ClaimVerdict.UNMEASURED: ("was not measured here", "were not measured here"),
}
_EXTRA = re.compile(r"pip install '\.\[(\w+)\]'")
_MODES = "short: an upstream connection for each request; keepalive: a pool of them, used again and again."
_IDIOMS = (
    "default: nothing of it is written; snippet: what is copied, HTTP/1.1 and an empty `Connection`; full:"
    " the same, and `keepalive N` in the `upstream`."
)
_COMMIT = 8
"""Digits of a commit that tell it from the others."""
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
    partial = [each.claim.name for each in ruled if each.ruling.is_partial]
    lines += [f"decided in part, since the rest does not count: {', '.join(partial)}"] if partial else []
    lines += _list_references(ruled)
    lines += [line for line in (summarize_missing(ruled), advise_quiet(ruled)) if line]
    return f"{count_verdicts(ruled)}\n{format_warnings(lines)}"


def _list_references(ruled: Sequence[RuledClaim]) -> Iterator[str]:
    """Yield what the reference runs say of the claims without a verdict: a line for each run and verdict."""
    found: dict[tuple[str, ClaimVerdict], list[str]] = {}
    for each in ruled:
        if each.reference is not None:
            key = (format_origin(each.reference.run), each.reference.ruling.verdict)
            found.setdefault(key, []).append(each.claim.name)
    for (origin, verdict), names in found.items():
        yield f"not here: from {origin}: {verdict}: {', '.join(names)}"


def format_origin(run: RunRecord[Any]) -> str:
    """Return which reference run it is: its machine and the commit."""
    commit = (run.machine.get("git", {}).get("commit") or "an unknown commit")[:_COMMIT]
    return f"the reference run on {run.machine.get('cpu_model', 'an unknown machine')} at {commit}"


def summarize_missing(ruled: Sequence[RuledClaim]) -> str:
    """Return the one command that installs what claims without a verdict want; nothing where none does."""
    extras: dict[str, None] = {}
    names = []
    for each in ruled:
        if each.ruling.verdict is ClaimVerdict.UNMEASURED:
            wanted = _EXTRA.findall(" ".join(each.evidence.refused.values()))
            extras |= dict.fromkeys(wanted)
            names += [each.claim.name] if wanted else []
    if not extras:
        return ""
    return f"to measure {', '.join(names)}: `pip install '.[{','.join(extras)}]'` in a clone of bench"


def advise_quiet(ruled: Sequence[RuledClaim]) -> str:
    """Return how claims that a busy machine left open get a verdict; nothing where there are none."""
    steps = dict.fromkeys(each.claim.step for each in ruled if _is_open(each) and _is_disturbed(each))
    if not steps:
        return ""
    chosen = " ".join(f"--step {step}" for step in steps)
    return f"others used the machine: end what else runs, and measure these again: `bench tour {chosen}`"


def _is_open(ruled: RuledClaim) -> bool:
    return ruled.ruling.verdict is ClaimVerdict.UNMEASURED or ruled.ruling.is_partial


def _is_disturbed(ruled: RuledClaim) -> bool:
    return any(claims.DISTURBED in claims.void_reasons(trial) for trial in ruled.evidence.trials)


def count_verdicts(ruled: Sequence[RuledClaim]) -> str:
    """Return how many claims have which verdict."""
    found = Counter(each.ruling.verdict for each in ruled)
    counted = ", ".join(
        f"{found[verdict]} {words[found[verdict] != 1]}"
        for verdict, words in _WORDS.items()
        if found[verdict]
    )
    return f"{len(ruled)} claim{'s'[: len(ruled) != 1]}: {counted}."


def explain(ruled: RuledClaim) -> str:
    """Return why a claim has its verdict, in the figures of its table."""
    return fill_in(ruled.ruling, ruled.evidence)


def fill_in(ruling: Ruling, evidence: Evidence) -> str:
    """Return the reason of a ruling, in the figures of the table of its evidence."""

    def fill(cell: re.Match[str]) -> str:
        case, figure = cell[1], cell[2]
        # What others said (why a step failed) may look like a cell, and is none.
        is_known = case in evidence.cases and figure in evidence.figures
        return format_median(evidence, case, figure) if is_known else cell[0]

    return CELL.sub(fill, ruling.why)


# -- the page


def build_page(
    ruled: Sequence[RuledClaim], steps: Sequence[Step], started: str, *, guess: bool = False
) -> Page:
    """Return the page of the tour's claims; what each of its steps measured is below them.

    With `guess` the verdicts are hidden at first, and each is shown by a click.
    """
    machine = next((step.run.machine for step in steps if step.run is not None), {})
    return Page(
        kicker="bench: a tour",
        title="From short connections to QUIC: what is said, and what this machine shows",
        sentence=(
            f"{count_verdicts(ruled)} A verdict stands on the figures below it, which this machine gave"
            f" within minutes, or on the document that it names.{_explain_references(ruled)}"
        ),
        warnings=[
            *(f"{step.title}: {step.problem}" for step in steps if step.problem is not None),
            *(
                f"{line[0].upper()}{line[1:]}"
                for line in (summarize_missing(ruled), advise_quiet(ruled))
                if line
            ),
        ],
        guess="yes" if guess else "offered",
        sections=[
            *(_build_section(number, each) for number, each in enumerate(ruled, 1)),
            *_build_steps([step for step in steps if step.run is not None and step.run.trials]),
            *([replace(build_machine_section(machine), folded=True)] if machine else []),
        ],
        started=started,
    )


def _explain_references(ruled: Sequence[RuledClaim]) -> str:
    origins = dict.fromkeys(format_origin(each.reference.run) for each in ruled if each.reference is not None)
    return f" What is dashed was not found here: it is from {' and '.join(origins)}." if origins else ""


def _build_section(number: int, ruled: RuledClaim) -> Section:
    claim, reference = ruled.claim, ruled.reference
    badge = BADGES[ruled.ruling.verdict]
    if ruled.ruling.is_partial:
        badge = replace(badge, text=f"{badge.text}, as far as measured")
    judged = JudgedClaim(claim.text, badge.tone, explain(ruled), claim.documents)
    blocks: list[Block] = [judged]
    if claim.documented is None:
        blocks += _build_evidence(claim, ruled.evidence, ruled.step)
    if reference is not None:
        scenario = catalogue.load(claim.step) if claim.step in catalogue.NAMES else None
        blocks.append(_judge_by_reference(reference))
        blocks += _build_evidence(claim, reference.evidence, Step(claim.step, scenario, reference.run))
    return Section(
        f"{number}. {claim.heading}",
        blocks,
        badge=badge,
        second_badge=None if reference is None else _borrow(reference),
        is_guessed=True,
    )


def _judge_by_reference(reference: Reference) -> JudgedClaim:
    badge = BADGES[reference.ruling.verdict]
    why = fill_in(reference.ruling, reference.evidence)
    origin = format_origin(reference.run)
    return JudgedClaim("", badge.tone, f"Not here: from {origin}: {badge.text.lower()}. {why}")


def _borrow(reference: Reference) -> Badge:
    """Return the badge of a verdict that is not of this machine."""
    badge = BADGES[reference.ruling.verdict]
    return replace(badge, text=f"Reference run: {badge.text.lower()}", is_borrowed=True)


def _build_evidence(claim: ArticleClaim, evidence: Evidence, step: Step | None) -> Iterator[Block]:
    if not any(evidence.cases.values()):
        return
    table = build_table(evidence)
    yield table
    yield Hint(_describe(claim, evidence))
    if claim.reservation:
        yield Hint(claim.reservation)
    if step is not None and (meanings := _explain_cases(claim, evidence, step)):
        yield Hint(meanings)
    yield from (Hint(line) for line in explain_cells(table).splitlines())
    if step is not None:
        yield from _select_pictures(step, claim.pictures)


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
    labels = [*(evidence.figures[name].label for name in names), "trials that count"]
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
    sample, figure = evidence.sample(case, name), evidence.figures[name]
    if figure.is_yes_or_no and sample.quoted:
        return _format_yes_or_no(sample.quoted)
    return format_sample(sample, figure.unit)


def _format_yes_or_no(values: Sequence[float]) -> str:
    """Return whether it was so in each trial, in none, or in how many."""
    count = sum(map(bool, values))
    if count in (0, len(values)):
        return "yes" if count else "no"
    return f"in {count} of {len(values)}"


def _count_trials(evidence: Evidence, case: str) -> str:
    total, whole = len(evidence.cases[case]), evidence.count(case)
    standing = evidence.count_standing(case)
    if not whole and standing:
        return f"{standing} of {total}, for counts and CPU"
    return f"{whole}\u00a0of\u00a0{total}"


def _describe(claim: ArticleClaim, evidence: Evidence) -> str:
    """Return where the figures come from, and how sure they are."""
    every = evidence.trials
    subjects = {f"{trial.subject.name} {trial.subject.version}".removesuffix(" -") for trial in every}
    proxies = sorted(subjects - {"direct"})
    where = ", ".join(proxies) if claim.step != SNIPPET else "an nginx each"
    direct = " (or none)" if "direct" in subjects else ""
    behind = f"proxy: {where}{direct}" if proxies else "without a proxy"
    parts = [f"{behind}; lab: {', '.join(sorted({trial.lab for trial in every}))}."]
    if any(evidence.count(case) < len(trials) for case, trials in evidence.cases.items()):
        parts.append(f"Not every trial counts in full, since {claims.explain(every)}.")
    if claim.model_of:
        parts.append(f"A model of {claim.model_of}, not {claim.model_of} itself.")
    if max(map(len, evidence.cases.values())) == 1:
        parts.append(
            f"One short trial of each: no spread is known, so that a ratio below {CLEAR:g} decides nothing."
        )
    else:
        parts.append("Medians, with the least and the greatest in brackets.")
    text = " ".join(parts)
    return f"{text[0].upper()}{text[1:]}"


def _explain_cases(claim: ArticleClaim, evidence: Evidence, step: Step) -> str:
    """Return what each case is, where its name alone does not tell."""
    if claim.step == SNIPPET:
        return _IDIOMS
    if step.scenario is None:
        return _MODES
    known = {variant.name: variant.summary for variant in step.scenario.variants}
    return "; ".join(f"{case}: {known[case]}" for case in evidence.cases if case in known) + "."


def _select_pictures(step: Step, titles: Sequence[str]) -> Iterator[Block]:
    """Yield what is drawn of a step under one of `titles`: its bars, then its lines."""
    glance, lines = _draw(step)
    bars = [bars for bars in glance.blocks if bars.title in titles]
    if bars:
        yield replace(glance, blocks=bars, hint=explain_bars(bars))
    chosen = [chart for chart in lines.charts if chart.title in titles] if lines is not None else []
    if lines is not None and chosen:
        yield replace(lines, charts=chosen)


def _draw(step: Step) -> tuple[Glance, Charts | None]:
    """Return all that is drawn of a step."""
    assert step.run is not None, "a step without a run has no evidence"
    if step.scenario is not None:
        bars = scenario_charts.build_bars(step.scenario, step.run)
        return Glance(bars), scenario_charts.build_charts(step.scenario, step.run)
    if step.name == SNIPPET:
        return incident.build_bars([step.run]), None
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
