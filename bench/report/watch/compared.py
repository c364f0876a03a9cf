"""What recordings of a watch show beside each other, in a sentence: on which hops fewer connections open.

A hop whose connects fail opens no more than its ports allow: its rate is no measure of waste, and where the
ports are free again it rises. Of such a hop the sentence tells the failed connects in place of the rate.
"""

from collections.abc import Iterator, Sequence

from bench.analysis.answers import Answer, Cell
from bench.analysis.compare import Comparison
from bench.report.text_table import format_number
from bench.runs.watch_trial import HOST_CASE
from nginx.printable import printable_line

_OPENED, _FAILED, _PORTS = "opened_per_s", "failed_opens_per_s", "ports_share"
_TOLD = (Answer.BETTER, Answer.WORSE)
_MANY_FAIL = 0.1
"""Of the connects that come to be: so many more that fail are no accident."""
_ALL_PORTS = 0.99


def summarize(compared: Sequence[Comparison]) -> str:
    """Return on which hops the connections opened per second changed, and of which nothing can be told.

    The whole host is left out where a hop of it lacked ports: its sum says as little.
    """
    capped = [each for each in compared if _case(each) != HOST_CASE and _is_capped(each)]
    free = [each for each in compared if each not in capped and not (capped and _case(each) == HOST_CASE)]
    told = [text for each in free for text in _changes(each, _OPENED)]
    untold = [_case(each) for each in free if _says(each, Answer.CANNOT_TELL)]
    parts = [*told, *([f"cannot tell of {', '.join(untold)}"] if untold else [])]
    if not capped:
        return f"Connections opened per second: {'; '.join(parts) or 'no change'}."
    failed = [text for each in capped for text in _changes(each, _FAILED)]
    names = ", ".join(map(_case, capped))
    sentence = (
        f"Connects that failed per second: {'; '.join(failed) or f'no change on {names}'}."
        f" How many are opened says nothing of {names}: there its ports, or the server, were the limit."
    )
    return f"{sentence} Connections opened per second elsewhere: {'; '.join(parts)}." if parts else sentence


def _is_capped(compared: Comparison) -> bool:
    """Return whether connects failed on one of the sides, or all ports were taken."""
    sides = zip(*(compared.row(key).cells for key in (_OPENED, _FAILED, _PORTS)), strict=True)
    return any(
        _value(failed) > max(1.0, _MANY_FAIL * _value(opened)) or _value(ports) >= _ALL_PORTS
        for opened, failed, ports in sides
    )


def _value(cell: Cell) -> float:
    return 0.0 if cell.estimate is None else cell.estimate.center


def _changes(compared: Comparison, key: str) -> Iterator[str]:
    first, *others = compared.row(key).cells
    for side, cell in zip(compared.sides[1:], others, strict=True):
        if cell.answer in _TOLD:
            which = f" in {printable_line(side.name)}" if len(others) > 1 else ""
            yield f"{_case(compared)} from {_number(first)} to {_number(cell)}{which} ({cell.answer})"


def _says(compared: Comparison, answer: Answer) -> bool:
    return any(cell.answer is answer for cell in compared.row(_OPENED).cells[1:])


def _case(compared: Comparison) -> str:
    return printable_line(compared.sides[0].case)


def _number(cell: Cell) -> str:
    return "-" if cell.estimate is None else format_number(cell.estimate.center, "1/s")
