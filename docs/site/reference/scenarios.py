"""Parts of the page about scenarios: variants and settings from the code, tables from reference runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.report import tour
from bench.report.scenario import text
from bench.scenarios import catalogue
from bench.tour import article, ruling
from docs.site import markdown
from docs.site.reference.fields import format_default, read_fields


def format_variants(name: str) -> str:
    """Return the variants of a scenario, each with what it is and what it needs."""
    scenario = catalogue.load(name)
    rows = [
        (f"`{each.name}`", each.summary, ", ".join(dict.fromkeys(f"`{need.remedy}`" for need in each.needs)))
        for each in scenario.variants
    ]
    return f"{scenario.title}.\n\n" + markdown.format_table(("variant", "what it is", "needs"), rows)


def format_claims(name: str, run: Any) -> str:
    """Return what is said of a scenario, and what its reference run shows of each claim of the tour."""
    lines = [f"What is said: “{catalogue.load(name).claim}” What the reference run shows:\n"]
    for claim in article.select([name]):
        if claim.judge is not None:
            ruled = ruling.rule_by(claim, run)
            why = tour.fill_in(ruled.ruling, ruled.evidence)
            reservation = f" {claim.reservation}" if claim.reservation else ""
            lines.append(f"- “{claim.heading}”: **{ruled.ruling.verdict.lower()}**. {why}{reservation}")
    return "\n".join(lines) + "\n"


def format_settings(name: str) -> str:
    """Return the settings of a scenario with their defaults."""
    fields = read_fields(catalogue.load(name).settings)
    rows = ((f"`{each.name}`", format_default(each.default), each.meaning) for each in fields)
    return markdown.format_table(("setting", "default", "meaning"), rows)


def format_run(run: Any) -> str:
    """Return where a scenario's run was made, what it shows, and its table."""
    scenario = catalogue.load(run.scenario)
    table = text.build_table(scenario, run)
    parts = [
        f"{_format_machine(run)}\n",
        f"{text.summarize(scenario, run)}\n",
        markdown.format_table(("case", *table.columns[1:]), table.rows),
    ]
    if warnings := list(_list_warnings(run)):
        parts.append("".join(warnings))
    return "\n".join(parts)


def _format_machine(run: Any) -> str:
    machine = run.machine
    commit = (machine["git"]["commit"] or "unknown")[:8]
    return (
        f"`results/{Path(run.directory).name}/`: {run.started[:10]}, {machine['cpu_model']},"
        f" {machine['cores']} cores, Linux"
        f" {machine['kernel']}, bench at `{commit}`, trials of each case: {run.plan['trials']}."
    )


def _list_warnings(run: Any) -> Iterator[str]:
    """Yield what `bench show` says below the table."""
    for each in (*text.summarize_refusals(run), *text.summarize_warnings(run)):
        yield f"- {each}\n"
