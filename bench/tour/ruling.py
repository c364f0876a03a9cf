"""A claim about connections, and how it is ruled on: by the run of a step, or by what is documented. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from bench.runs.record import RunRecord, TrialRecord
from bench.runs.sweep_trial import case_of
from bench.tour.evidence import ClaimFigure, ClaimVerdict, Evidence, Ruling
from bench.tour.steps import IDIOMS, Step, find_subject

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
    """The cases that are needed, in the order of the table; none: all of the run.

    A case is a variant on the subject that its step measures first, or `VARIANT, SUBJECT`.
    """
    figures: Mapping[str, ClaimFigure] = field(default_factory=dict)
    judge: Judge | None = None
    documented: Ruling | None = None
    pictures: tuple[str, ...] = ()
    """The titles of those panels of the step that show it."""
    model_of: str = ""
    """The product of which the step has a model, and not the thing itself."""
    documents: tuple[Document, ...] = ()
    is_of_times: bool = False
    """Whether its verdict is on times, and counts bear none."""
    reservation: str = ""
    """What its figures tell of something else than the claim, in a sentence or two."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What the reference run says of a claim that this machine decided in part, or not at all."""

    ruling: Ruling
    evidence: Evidence
    run: RunRecord[Any]
    """The reference run, with those of its trials that the claim is about."""


@dataclass(frozen=True, slots=True)
class RuledClaim:
    """A claim with its verdict, what that stands on, and the step that it was measured in."""

    claim: ArticleClaim
    ruling: Ruling
    evidence: Evidence
    step: Step | None = None
    """None: the tour did not get there."""
    reference: Reference | None = None
    """What stands in for a verdict of this machine, where it can."""


def rule(
    claims: Iterable[ArticleClaim],
    steps: Sequence[Step],
    references: "Mapping[str, RunRecord[Any]] | None" = None,
) -> list[RuledClaim]:
    """Return each claim with its verdict, by the step that it belongs to, as far as that was taken.

    `references` are reference runs by step: they stand in where a claim has no verdict, or one on a part.
    """
    taken = {step.name: step for step in steps}
    known = references or {}
    return [_rule_one(claim, taken.get(claim.step), known.get(claim.step)) for claim in claims]


def _rule_one(claim: ArticleClaim, step: Step | None, reference: "RunRecord[Any] | None") -> RuledClaim:
    evidence = gather(claim, None if step is None else step.run)
    ruled = RuledClaim(claim, _decide(claim, step, evidence), evidence, step)
    is_open = ruled.ruling.verdict is ClaimVerdict.UNMEASURED or ruled.ruling.is_partial
    if reference is None or not is_open:
        return ruled
    return replace(ruled, reference=consult(claim, reference))


def consult(claim: ArticleClaim, run: RunRecord[Any]) -> Reference | None:
    """Return what a reference run says of `claim`; None where it decides it no better."""
    if claim.judge is None:
        return None
    ruled = rule_by(claim, run)
    if ruled.ruling.verdict is ClaimVerdict.UNMEASURED or ruled.ruling.is_partial:
        return None
    return Reference(ruled.ruling, ruled.evidence, replace(run, trials=tuple(ruled.evidence.trials)))


def rule_by(claim: ArticleClaim, run: RunRecord[Any]) -> RuledClaim:
    """Return `claim` with its verdict by one run, of the tour or another that has its cases."""
    return _rule_one(claim, Step(claim.step, run=run), None)


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
    if lack is not None:
        return Ruling(ClaimVerdict.UNMEASURED, lack)
    ruling = claim.judge(evidence)
    reservation = evidence.find_reservation()
    is_said = ruling.is_partial or ruling.verdict is ClaimVerdict.UNMEASURED or claim.is_of_times
    if reservation is None or is_said:
        return ruling
    return replace(ruling, why=f"{ruling.why} {reservation}")


def gather(claim: ArticleClaim, run: "RunRecord[TrialRecord] | None") -> Evidence:
    """Return the trials of `run` by the cases that `claim` is about."""
    cases: dict[str, list[TrialRecord]] = {case: [] for case in claim.cases}
    first = find_subject(claim.step)
    for trial in () if run is None else run.trials:
        case = _name_case(case_of(trial), trial.subject.name, first)
        if case in cases or (not claim.cases and _is_of_snippet(case)):
            cases.setdefault(case, []).append(trial)
    if not claim.cases:
        cases = dict(sorted(cases.items()))  # the trials were in random order
    refused = (
        {}
        if run is None
        else {_name_case(each.variant, each.subject, first): each.reason for each in run.refused}
    )
    return Evidence(cases, claim.figures, refused)


def _name_case(variant: str, subject: str, first: str | None) -> str:
    """Return the name of a case in a step that measures on `first` first; None: each subject is a case."""
    if first is None:
        return subject
    return variant if subject == first else f"{variant}, {subject}"


def _is_of_snippet(case: str) -> bool:
    """Return whether a case is an nginx that was told one of IDIOMS: a whole incident has others, too."""
    words = case.split()
    return words[0] == "nginx" and words[-1] in IDIOMS
