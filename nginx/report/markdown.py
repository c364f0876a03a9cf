"""Format the result of a check as Markdown, as the summary of a job or a comment shows it."""

from collections.abc import Iterator

from nginx.check import CheckResult
from nginx.printable import printable_line

_MARKS = {"reused": "✓", "not reused": "✗", "depends": "?"}


def markdown(result: CheckResult) -> str:
    """Return a table of the locations by version, and one of the findings."""
    lines = ["### Upstream connections", "", *_locations(result)]
    if result.findings:
        lines += ["", "### Findings", "", *_findings(result)]
    return "\n".join(lines) + "\n"


def _locations(result: CheckResult) -> Iterator[str]:
    yield _row(["location", "target", "line", *(f"nginx {version}" for version in result.versions)])
    yield _row(["---"] * (3 + len(result.versions)))
    for each in result.locations:
        answers = [each.verdicts[version].answer for version in result.versions]
        shown = [f"{_MARKS.get(answer, '')} {answer}".strip() for answer in answers]
        yield _row([_code(each.heading), _code(each.target), _code(str(each.place)), *shown])


def _findings(result: CheckResult) -> Iterator[str]:
    yield _row(["severity", "rule", "line", "what", "fix", "nginx"])
    yield _row(["---"] * 6)
    for each in result.findings:
        yield _row(
            [
                str(each.severity),
                each.rule,
                _code(str(each.place)),
                _text(each.message),
                _text(each.fix),
                ", ".join(each.versions),
            ]
        )


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    """Return a text as code in a table, whose cells end at each bar."""
    shown = printable_line(text).replace("|", "\\|")
    fence = "``" if "`" in shown else "`"
    return f"{fence}{shown}{fence}"


def _text(text: str) -> str:
    return printable_line(text).replace("|", "\\|").replace("<", "&lt;")
