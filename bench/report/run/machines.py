"""Tables and lines about the machines of a cluster, one by one: where they are, and what each did. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from bench import units
from bench.analysis import machine_differences
from bench.analysis import machine_figures as figures
from bench.analysis.claims import Sample, Standing
from bench.analysis.machine_figures import MachineFigure
from bench.analysis.sides import AnySide, label, split
from bench.report.html import Table
from bench.report.text_table import format_number, format_table, wrap
from bench.runs.record import RunRecord, Trial
from bench.runs.sweep_trial import case_of

_LOST = "lost"
_ACCEPTS = "backend"
"""The role whose connections are those that it accepted: it opens none."""
_LEAST_SHARE = 0.01
"""Share of the half of its ports from which on it is worth a line which machine is the fullest."""


def format_machines(run: RunRecord[Any]) -> str:
    """Return the machines of `run`, each with its figures in each mode; nothing where it had one.

    Of a sweep, which has many cells, only the machines.
    """
    if not run.machines:
        return ""
    parts, notes = [format_table(build_places(run))], [*summarize(run)]
    if run.kind == "run":
        parts += [format_table(build_figures(side)) for side in split(run)]
        notes = [*explain(run), *notes]
    return "".join([*parts, *(f"{wrap(note)}\n" for note in notes)])


def build_tables(run: RunRecord[Any]) -> list[Table]:
    """Return the machines of `run` and their figures in each mode, whole; none where it had one machine."""
    if not run.machines:
        return []
    of_modes = [build_figures(side, is_wide=True) for side in split(run)] if run.kind == "run" else []
    return [build_places(run), *of_modes]


def list_notes(run: RunRecord[Any]) -> list[str]:
    """Return what is to be known beside those tables."""
    return [*explain_sums(run), *summarize(run)] if run.machines else []


def build_places(run: RunRecord[Any]) -> Table:
    """Return where each machine is, its clock, and whether it was lost."""
    records = {each.name: each for each in run.machines}
    lost = {machine.name for _, machine in figures.list_lost(run.trials)}
    rows = []
    for name in figures.sort_names(run):
        offset, error = (_sample(run, name, each) for each in (figures.CLOCK_OFFSET, figures.CLOCK_ERROR))
        rows.append(
            (
                name,
                records[name].address if name in records else "-",
                _show(offset, "ms"),
                "-" if error.median is None else format_number(max(error.values), "ms"),
                *([_name_trials(run, name)] if lost else []),
            )
        )
    clock = ("clock ahead of bench's, ms", "wrong by at most, ms")
    return Table(("machine", "address", *clock, *([_LOST] if lost else [])), rows, texts=("address", _LOST))


def build_figures(side: AnySide, *, is_wide: bool = False) -> Table:
    """Return what each machine did in the trials of `side`: medians; a wide table leaves nothing out.

    Columns that no machine has a figure for are left out.
    """
    names = figures.sort_names(side.run)
    columns = [
        (title, [format_cell(side, name) for name in names])
        for title, format_cell in (_WIDE if is_wide else _NARROW)
    ]
    kept = [(title, cells) for title, cells in columns if any(cell != "-" for cell in cells)]
    for row, name in enumerate(names):
        if kept and _is_lost(side, name):
            kept[0][1][row] = _LOST
    rows = [(name, *(cells[row] for _, cells in kept)) for row, name in enumerate(names)]
    return Table((side.name, *(title for title, _ in kept)), rows)


def explain(run: RunRecord[Any]) -> Iterator[str]:
    """Yield how the tables of figures are to be read."""
    seen = [each for trial in run.trials if isinstance(trial, Trial) for each in trial.machines]
    yield "connections: that a machine opened, or as a backend accepted"
    if any(each.ports_used_peak is not None for each in seen):
        yield "ports used: in brackets as a share of half of them; beyond it connect() slows down"
    yield from explain_sums(run)
    if any(each.run_queue_wait is not None for each in seen):
        yield "waited, idle: how long a load worker waited for a core, and its cores had nothing to do"


def explain_sums(run: RunRecord[Any]) -> Iterator[str]:
    """Yield what is a sum over the machines of a role, and what is of one of them."""
    counts = Counter(each.role for each in run.machines)
    if max(counts.values(), default=0) > 1:
        yield "of a role: TIME_WAIT and memory of all its machines together, ports of the fullest"
    if max(counts["proxy"], counts["backend"]) > 1:
        yield "CPU of a proxy or a backend is over the requests of all clients: they add up"


def format_place(run: RunRecord[Any]) -> str:
    """Return what a run was measured on: one machine, or how many for each role."""
    return machine_differences.count_roles(run) if run.machines else "one machine"


def summarize(run: RunRecord[Any]) -> Iterator[str]:
    """Yield which machine's ports are fullest, and what the machines differ in."""
    for side in split(run) if run.kind == "run" else ():
        fullest = figures.find_fullest(side)
        if fullest is not None and fullest.share_of_half >= _LEAST_SHARE:
            yield (
                f"{side.name}: ports are fullest on {fullest.name}, which used"
                f" {units.count(fullest.used)} of {fullest.tuples:,}"
            )
    if within := machine_differences.describe_within(run.machines):
        yield within


def list_losses(run: RunRecord[Any]) -> list[str]:
    """Return a warning for each machine that was lost in a trial whose own warnings do not name it."""
    return [
        f"trial {trial.trial}, {label(case_of(trial), run)}: {machine.name} was lost: {machine.lost}"
        for trial, machine in figures.list_lost(run.trials)
        if not any(machine.name in warning.message for warning in trial.warnings)
    ]


def _name_trials(run: RunRecord[Any], name: str) -> str:
    trials = [str(trial.trial) for trial, machine in figures.list_lost(run.trials) if machine.name == name]
    return f"in trial {', '.join(trials)}" if trials else "-"


def _sample(run: RunRecord[Any], name: str, figure: MachineFigure) -> Sample:
    """Return a figure that counts in every trial, over all cases of `run`."""
    values = [value for side in split(run) for value in figures.sample(side, name, figure).values]
    return Sample(Standing.COUNTS if values else Standing.MISSING, tuple(values))


def _show(sample: Sample, unit: str) -> str:
    if sample.median is not None:
        told = format_number(sample.median, unit)
        return told.removeprefix("-") if not told.strip("-0.") else told  # no clock is 0 ms behind
    return "-" if sample.standing is Standing.MISSING else sample.standing.value


def _is_lost(side: AnySide, name: str) -> bool:
    """Return whether a machine was lost in every trial of `side`."""
    found = [figures.find(trial, name) for trial in side.trials]
    return bool(found) and all(each is not None and each.lost is not None for each in found)


# -- the columns

_Format = Callable[[AnySide, str], str]


def _plain(figure: MachineFigure) -> _Format:
    return lambda side, name: _show(figures.sample(side, name, figure), figure.unit)


def _percent(figure: MachineFigure) -> _Format:
    def format_cell(side: AnySide, name: str) -> str:
        share = figures.sample(side, name, figure)
        return _show(share, "") if share.median is None else f"{100 * share.median:.0f} %"

    return format_cell


def _format_connections(side: AnySide, name: str) -> str:
    return _plain(figures.ACCEPTED if _is_accepting(side, name) else figures.OPENED)(side, name)


def _format_answered(side: AnySide, name: str) -> str:
    return _plain(figures.REQUESTS)(side, name) if _is_accepting(side, name) else "-"


def _is_accepting(side: AnySide, name: str) -> bool:
    return name in {each.name for each in side.run.machines if each.role == _ACCEPTS}


def _format_ports(side: AnySide, name: str) -> str:
    used, share = (figures.sample(side, name, each) for each in (figures.PORTS_USED, figures.SHARE_OF_HALF))
    told = _show(used, "")
    return told if (share.median or 0.0) < _LEAST_SHARE else f"{told} ({100 * (share.median or 0.0):.0f} %)"


def _format_pressure(side: AnySide, name: str) -> str:
    waited, idle = (_percent(each)(side, name).replace(" ", "") for each in (figures.WAITED, figures.IDLE))
    return "-" if waited == idle == "-" else f"{waited}, {idle}"


_NARROW: tuple[tuple[str, _Format], ...] = (
    ("requests/s", _plain(figures.RATE)),
    ("connections", _format_connections),
    ("TIME_WAIT peak", _plain(figures.TIME_WAIT)),
    ("ports used", _format_ports),
    ("CPU us per request", _plain(figures.CPU)),
    ("waited, idle", _format_pressure),
)
_WIDE: tuple[tuple[str, _Format], ...] = (
    ("requests/s", _plain(figures.RATE)),
    ("answered", _format_answered),
    ("opened", _plain(figures.OPENED)),
    ("accepted", _plain(figures.ACCEPTED)),
    ("TIME_WAIT peak", _plain(figures.TIME_WAIT)),
    ("ports used", _plain(figures.PORTS_USED)),
    ("of", _plain(figures.TUPLES)),
    ("of their half", _percent(figures.SHARE_OF_HALF)),
    ("CPU, us/request", _plain(figures.CPU)),
    ("memory, MiB", _plain(figures.MEMORY)),
    ("waited", _percent(figures.WAITED)),
    ("idle", _percent(figures.IDLE)),
)
