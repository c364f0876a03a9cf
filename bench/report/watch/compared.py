"""What recordings of a watch show beside each other, in a sentence: on which hops fewer connections open."""

from collections.abc import Iterator, Sequence

from bench.analysis.answers import Answer, Cell
from bench.analysis.compare import Comparison
from bench.report.text_table import format_number
from nginx.printable import printable_line

_KEY = "opened_per_s"
_TOLD = (Answer.BETTER, Answer.WORSE)


def summarize(compared: Sequence[Comparison]) -> str:
    """Return on which hops the connections opened per second changed, and of which nothing can be told."""
    told = [text for each in compared for text in _changes(each)]
    untold = [_case(each) for each in compared if _says(each, Answer.CANNOT_TELL)]
    parts = [*told, *([f"cannot tell of {', '.join(untold)}"] if untold else [])]
    return f"Connections opened per second: {'; '.join(parts) or 'no change'}."


def _changes(compared: Comparison) -> Iterator[str]:
    first, *others = compared.row(_KEY).cells
    for side, cell in zip(compared.sides[1:], others, strict=True):
        if cell.answer in _TOLD:
            which = f" in {printable_line(side.name)}" if len(others) > 1 else ""
            yield f"{_case(compared)} from {_number(first)} to {_number(cell)}{which} ({cell.answer})"


def _says(compared: Comparison, answer: Answer) -> bool:
    return any(cell.answer is answer for cell in compared.row(_KEY).cells[1:])


def _case(compared: Comparison) -> str:
    return printable_line(compared.sides[0].case)


def _number(cell: Cell) -> str:
    return "-" if cell.estimate is None else format_number(cell.estimate.center, "1/s")
