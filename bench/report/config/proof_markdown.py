"""Format a proof as Markdown for a pull request: what was predicted and measured, and what fails."""

from collections.abc import Iterator

from bench.prove.proof import LocationResult, Proof
from bench.report.config.proof import format_rows, summarize
from nginx.markdown_text import escape, format_code, format_prose, format_row

_NOT_SHOWN = frozenset({"predicted", "measured", "request"})


def format_markdown(proof: Proof) -> str:
    """Return what one nginx did: a sentence, and a table of the locations."""
    lines = [f"### nginx {escape(proof.version)} under traffic", "", f"{escape(summarize(proof))}."]
    if proof.results:
        lines += ["", "| location | passes to | predicted | measured | more |", "|---|---|---|---|---|"]
        lines += map(_row, proof.results)
    lines += [f"\n{escape(note)}." for note in proof.notes]
    return "\n".join(lines) + "\n"


def _row(result: LocationResult) -> str:
    passing, rows = result.location.pass_location, dict(format_rows(result))
    name = f"{format_code(passing.context)} ({escape(str(passing.directive.place))})"
    more = "<br>".join(_more(result))
    cells = (format_prose(rows["predicted"]), format_prose(rows["measured"]), more)
    return format_row((name, format_code(passing.target), *cells))


def _more(result: LocationResult) -> Iterator[str]:
    for label, text in format_rows(result):
        if label not in _NOT_SHOWN:
            yield f"{escape(label)}: {format_prose(text)}"
