"""Leave of a check what is to be repaired: the locations that lose connections, the worst first."""

from dataclasses import replace

from nginx.check import FAILING, CheckResult, LocationVerdicts
from nginx.finding import Severity

_BADNESS = {"not reused": 2, "partly reused": 1}


def worst_first(result: CheckResult, threshold: Severity) -> CheckResult:
    """Return a result with the locations that fail, and with what is found about them or matters by itself.

    The worst are those that no judged version reuses, then those that only some do; among equals that with
    the most severe finding comes first, then the order of the text.
    """
    failing = [each for each in result.locations if each.fails]
    severities = {
        place: max((f.severity for f in result.findings if place in f.passes), default=Severity.INFO)
        for place in {each.place for each in failing}
    }
    failing.sort(key=lambda each: (-_badness(each), -severities[each.place]))
    places = {each.place for each in failing}
    findings = [
        each for each in result.findings if each.severity >= threshold or not places.isdisjoint(each.passes)
    ]
    return replace(result, locations=failing, findings=findings)


def _badness(location: LocationVerdicts) -> float:
    """Return how much is lost, the mean over the versions: 2 where nothing is reused under any."""
    answers = [verdict.answer for verdict in location.verdicts.values()]
    return sum(_BADNESS.get(answer, 0) for answer in answers if answer in FAILING) / len(answers)
