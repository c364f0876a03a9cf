"""Where this machine gives no verdict a reference run stands in, marked as such, with its own cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.report import html
from bench.report import tour as report
from bench.tour import reference
from bench.tour.article import CLAIMS
from bench.tour.evidence import ClaimVerdict
from bench.tour.ruling import ArticleClaim, RuledClaim, consult, rule
from bench.tour.steps import NAMES, SNIPPET
from tests.tour.made_up_claims import BUSY, BY_NAME, WRONG, Values, rule_by_reference, rule_on
from tests.tour.rulings import BORNE_OUT, FALSE, TRUE, cliff, delivered, pulled

BUSY_HERE = {"valid": False, "warnings": (BUSY,)}
DECIDED = [claim for claim in CLAIMS if claim.judge is not None]


def name(claim: ArticleClaim) -> str:
    return claim.name


def rule_cliff() -> RuledClaim:
    return rule_by_reference("cliff", cliff(345), cliff(9_000), **BUSY_HERE)


def test_each_step_has_a_reference_run_in_the_repository_and_none_elsewhere(tmp_path: Path) -> None:
    assert set(reference.find(NAMES)) == set(NAMES)
    assert reference.find(NAMES, tmp_path) == {}
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference" / "run.jsonl").write_text("no run", encoding="utf-8")
    assert reference.find(["incident"], tmp_path) == {}


@pytest.mark.parametrize("claim", DECIDED, ids=name)
def test_the_reference_runs_decide_each_claim(claim: ArticleClaim) -> None:
    found = consult(claim, reference.find([claim.step])[claim.step])
    assert found is not None
    subjects = {trial.subject.name for trial in found.run.trials}
    assert claim.step == SNIPPET or subjects <= {"asyncio", "direct", "nginx"}
    assert all("{" not in report.fill_in(found.ruling, found.evidence) for _ in found.evidence.cases)


def test_a_verdict_of_this_machine_needs_no_other() -> None:
    ruled = rule_by_reference("cliff", cliff(345), cliff(9_000))
    assert (ruled.ruling.verdict, ruled.reference) == (FALSE, None)


def test_the_reference_stands_in_and_does_not_become_the_verdict_of_this_machine() -> None:
    ruled = rule_cliff()
    assert ruled.ruling.verdict is ClaimVerdict.UNMEASURED
    assert ruled.reference is not None
    assert ruled.reference.ruling.verdict is TRUE
    partial = rule_by_reference(
        "polling", BORNE_OUT["polling"], delivered((2.0, 3), (1.2, 8), (0.0, 3)), **BUSY_HERE
    )
    assert partial.ruling.is_partial
    assert partial.reference is not None


def test_a_reference_that_decides_nothing_is_not_shown() -> None:
    claim = BY_NAME["broker"]
    lacking: Values = {case: {} for case in pulled(1, 1, 1)}
    ruled = rule_by_reference(claim.name, lacking, BORNE_OUT["broker"], **BUSY_HERE)
    assert ruled.reference is None


def test_a_claim_that_was_not_reached_has_its_reference() -> None:
    claim = BY_NAME["cliff"]
    (ruled,) = rule([claim], [], reference.find(["incident"]))
    assert ruled.step is None
    assert ruled.reference is not None
    text = html.render(report.build_page([ruled], [], "2026-03-14"))
    assert "<figcaption><b>Throughput</b>" in text


def test_the_page_says_where_a_borrowed_verdict_is_from() -> None:
    ruled = rule_cliff()
    text = html.render(report.build_page([ruled], [], "2026-03-14"))
    origin = "from the reference run on EPYC at 01234567"
    assert f"Not here: {origin}: true. Short connections served" in text
    assert f"What is dashed was not found here: it is {origin}." in text
    for place in ("<h2>", "<li>"):
        found = text[text.index(place) :]
        assert found.index("Not measured here</b>") < found.index("Reference run: true</b>")
    assert "badge yes borrowed" in text
    assert f"! not here: {origin}: True: cliff\n" in report.format_end([ruled])


def test_on_the_terminal_the_line_of_a_claim_is_that_of_this_machine() -> None:
    assert report.format_claims([rule_cliff()]).startswith("Not measured here  ")


def test_where_others_used_the_machine_the_command_for_a_quiet_hour_is_told() -> None:
    told = [rule_cliff(), rule_on("polling", BORNE_OUT["polling"], **BUSY_HERE)]
    assert report.advise_quiet(told).endswith("`bench tour --step incident --step push`")
    assert report.advise_quiet([rule_on("cliff", cliff(345))]) == ""
    assert report.advise_quiet([rule_on("cliff", cliff(345), valid=False, warnings=(WRONG,))]) == ""
