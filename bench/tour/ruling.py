"""A claim about connections, and how it is ruled on: by the run of a step, or by what is documented. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.runs.record import RunRecord, TrialRecord
from bench.runs.sweep_trial import case_of
from bench.tour.evidence import ClaimFigure, ClaimVerdict, Evidence, Ruling
from bench.tour.steps import SNIPPET, Step

Judge = Callable[[Evidence], Ruling]
NOT_REACHED = "The tour was ended before this was measured."


class Document(NamedTuple):
    """What a fact is taken from."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class ArticleClaim:
    """What is said about connections, and what decides it: `judge`, or `documented` where no run can."""

    name: str
    step: str
    """The step of the tour that it belongs to."""
    heading: str
    """The claim in a line."""
    text: str
    """The claim in a sentence, as those say it who believe it."""
    cases: tuple[str, ...] = ()
    """The cases that are needed, in the order of the table; none: all of the run."""
    figures: Mapping[str, ClaimFigure] = field(default_factory=dict)
    judge: Judge | None = None
    documented: Ruling | None = None
    pictures: tuple[str, ...] = ()
    """The titles of those panels of the step that show it."""
    model_of: str = ""
    """The product of which the step has a model, and not the thing itself."""
    documents: tuple[Document, ...] = ()


@dataclass(frozen=True, slots=True)
class RuledClaim:
    """A claim with its verdict, what that stands on, and the step that it was measured in."""

    claim: ArticleClaim
    ruling: Ruling
    evidence: Evidence
    step: Step | None = None
    """None: the tour did not get there."""


def rule(claims: Iterable[ArticleClaim], steps: Sequence[Step]) -> list[RuledClaim]:
    """Return each claim with its verdict, by the step that it belongs to, as far as that was taken."""
    taken = {step.name: step for step in steps}
    return [_rule_one(claim, taken.get(claim.step)) for claim in claims]


def _rule_one(claim: ArticleClaim, step: Step | None) -> RuledClaim:
    evidence = gather(claim, None if step is None else step.run)
    return RuledClaim(claim, _decide(claim, step, evidence), evidence, step)


def _decide(claim: ArticleClaim, step: Step | None, evidence: Evidence) -> Ruling:
    if claim.documented is not None:
        return claim.documented
    assert claim.judge is not None, f"{claim.name} has a judge, or is documented"
    if step is None:
        return Ruling(ClaimVerdict.UNMEASURED, NOT_REACHED)
    problem = step.problem or (None if step.run is None else step.run.problem)
    # Where the run says what the cases are, one that ended early may lack some of them.
    is_part = not claim.cases and (step.interrupted or problem is not None)
    if is_part or not any(evidence.cases.values()):
        why = NOT_REACHED if problem is None else f"Its run could not be made: {problem}"
        return Ruling(ClaimVerdict.UNMEASURED, why)
    lack = evidence.find_lack()
    return claim.judge(evidence) if lack is None else Ruling(ClaimVerdict.UNMEASURED, lack)


def gather(claim: ArticleClaim, run: "RunRecord[TrialRecord] | None") -> Evidence:
    """Return the trials of `run` by the cases that `claim` is about."""
    cases: dict[str, list[TrialRecord]] = {case: [] for case in claim.cases}
    for trial in () if run is None else run.trials:
        case = trial.subject.name if claim.step == SNIPPET else case_of(trial)
        if case in cases or not claim.cases:
            cases.setdefault(case, []).append(trial)
    if not claim.cases:
        cases = dict(sorted(cases.items()))  # the trials were in random order
    refused = {} if run is None else {each.variant: each.reason for each in run.refused}
    return Evidence(cases, claim.figures, refused)
