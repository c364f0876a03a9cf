"""Say what keep-alive gains over short connections, and no more than the comparison of the run can tell."""

from bench import units
from bench.analysis.answers import Answer, Cell
from bench.analysis.gain import Gain


def format_rate(gain: Gain, what: str = "requests per second") -> str:
    """Return how many times the requests per second were served; empty if not known."""
    if gain.rate_ratio is None:
        return ""
    if gain.rate.answer is Answer.NO_DIFFERENCE:
        return f"the same {what}{_format_bound(gain.rate)}"
    # With an interval a comparison gives three digits, as of all that stand together.
    has_interval = gain.rate.ratio is not None and gain.rate.ratio.low is not None
    ratio = units.ratios([gain.rate_ratio])[0] if has_interval else units.ratio(gain.rate_ratio)
    return f"{ratio} the {what}"


def format_cpu(gain: Gain, whose: str) -> str:
    """Return what share of the CPU per request of `whose` was spent; empty if not known."""
    if gain.cpu_ratio is None:
        return ""
    if gain.cpu.answer is Answer.NO_DIFFERENCE:
        return f"the same {whose} CPU per request{_format_bound(gain.cpu)}"
    return f"{100 * gain.cpu_ratio:.0f} % of the {whose} CPU per request"


def format_trials(gain: Gain) -> str:
    """Return in which trials a ratio was seen, where they cannot tell that it is a difference."""
    samples = [cell.samples for cell in gain.open_cells if cell.samples is not None]
    if not samples:
        return ""
    fewest = min(samples, key=lambda each: len(each.old) + len(each.new))
    counts = sorted({len(fewest.old), len(fewest.new)})
    if counts == [1]:
        return "in this trial of each"
    return f"in these {counts[0]} trials each" if len(counts) == 1 else f"in these {sum(counts)} trials"


def format_limit(gain: Gain) -> str:
    """Return what the trials cannot tell; empty where they can, or where their number says it."""
    return "" if gain.is_too_few or not gain.open_cells else "they cannot tell whether that is a difference"


def _format_bound(cell: Cell) -> str:
    """Return how large a difference would have been missed."""
    return f" (within {100 * cell.no_more_than:.2g} %)" if cell.no_more_than else ""
