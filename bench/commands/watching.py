"""How a watch that was opened is shown, served and recorded, and how the command ends."""

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands import printing
from bench.errors import ExitCode

if TYPE_CHECKING:
    from bench.watch.opening import Opened
    from bench.watch.recording import Recorder
    from bench.watch.session import Consumer, Look

ONCE_S = 3.0
"""How long --once looks: a rate needs some seconds, and an answer is to be there within five."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where the looks go."""

    once: bool = False
    as_json: bool = False
    openmetrics: tuple[str, int] | None = None
    """Host and port."""
    record: Path | None = None
    """The folder of a new run."""
    anonymize: bool = False


_EXIT_CODES = {True: ExitCode.FINDINGS, False: ExitCode.OK, None: ExitCode.CANNOT_TELL}
"""By whether something asks for a change."""


class NewestLook:
    """Keeps the newest look: it decides how the command ends."""

    def __init__(self) -> None:
        self.look: Look | None = None

    def __call__(self, look: "Look") -> None:
        """Keep a look."""
        self.look = look

    def exit_code(self, has_ended: bool) -> ExitCode:
        """Return how a watch ends: by its last verdict, unless it was interrupted before its end."""
        if not has_ended or self.look is None:
            return ExitCode.INTERRUPTED
        return _EXIT_CODES[self.look.verdict.is_wasteful]


class Lines:
    """Prints a line for each look, the verdict whenever it is another, and each kind of note once."""

    def __init__(self, is_whole_host: bool) -> None:
        self._is_whole_host = is_whole_host
        self._noted: list[str] = []
        self._said = ""
        self._lines_since = 0

    def __call__(self, look: "Look") -> None:
        """Print a look."""
        from bench.report.watch import text
        from bench.watch.verdict import latest_notes

        for note in look.snapshot.notes:
            before = len(self._noted)
            self._noted = latest_notes([*self._noted, note])
            if len(self._noted) > before:
                printing.echo_error(f"bench: {note}")
        if look.verdict.headline != self._said:
            self._said = look.verdict.headline
            self._lines_since = 0
            printing.echo("\n".join(text.format_verdict(look)))
        printing.echo(text.format_line(look, self._is_whole_host))
        self._lines_since += 1

    def finish(self, look: "Look | None") -> None:
        """Print the last verdict, where the one that was printed has other figures, above many lines."""
        from bench.report.watch import text

        if look is not None and self._lines_since > 1:
            printing.echo("\n".join(["", *text.format_verdict(look)]))


def perform(opened: "Opened", outputs: Outputs, duration_s: float | None) -> ExitCode:
    """Watch until the end, and return how the command ends."""
    newest = NewestLook()
    consumers: list[Consumer] = [newest]
    told: list[str] = []
    with ExitStack() as closing:
        if outputs.record is not None:
            recorder = _open_recorder(outputs.record, opened, outputs.anonymize, told)
            closing.callback(_end_recording, recorder, told)
            consumers.append(recorder)
        if outputs.openmetrics is not None:
            consumers.append(_serve(outputs.openmetrics, closing))
        if outputs.once:
            has_ended = _run(opened, consumers, duration_s, told)
            _print_once(newest.look, opened.scope, outputs.as_json)
        elif outputs.as_json:
            has_ended = _run(opened, [*consumers, _print_json], duration_s, told)
        elif _can_view():
            _view(opened, consumers, duration_s, told)
            has_ended = True
        else:
            lines = Lines(opened.is_whole_host)
            has_ended = _run(opened, [*consumers, lines], duration_s, told)
            lines.finish(newest.look)
    return newest.exit_code(has_ended)


def _run(
    opened: "Opened", consumers: "Sequence[Consumer]", duration_s: float | None, told: list[str]
) -> bool:
    """Watch until the end or a signal; return whether the end came."""
    from bench.watch.stop_signals import heed_signals

    def tell(look: "Look") -> None:
        _print_told(told)

    with heed_signals() as stopping:
        return opened.session.run([*consumers, tell], stopping.wait, duration_s)


def _view(
    opened: "Opened", consumers: "Sequence[Consumer]", duration_s: float | None, told: list[str]
) -> None:
    """Show the live view; what was told meanwhile is printed behind it."""
    from bench.report.watch.live_session import LiveSession

    LiveSession(opened.session, opened.scope, consumers, duration_s, told).perform()
    _print_told(told)


def _can_view() -> bool:
    """Return whether a person looks at a terminal that can be drawn on."""
    are_terminals = all(map(printing.is_terminal, (sys.stdin, sys.stdout, sys.stderr)))
    return are_terminals and os.environ.get("TERM", "dumb") != "dumb"


def _print_once(look: "Look | None", scope: str, as_json: bool) -> None:
    from bench.report.watch import text

    if look is None:
        return
    if as_json:
        _print_json(look)
        return
    printing.echo_coloured(
        text.format_look(look, scope, _bold if printing.has_colours(sys.stdout) else str) + "\n"
    )


def _bold(line: str) -> str:
    import click

    return click.style(line, bold=True)


def _print_json(look: "Look") -> None:
    from bench.watch.output import build_line

    printing.echo_json(build_line(look))


def _open_recorder(directory: Path, opened: "Opened", anonymize: bool, told: list[str]) -> "Recorder":
    from bench.watch.masks import Masks
    from bench.watch.recording import Recorder

    masks = Masks() if anonymize else None
    return Recorder(directory, opened.plan, opened.judge, told.append, masks=masks)


def _print_told(told: list[str]) -> None:
    while told:
        printing.echo_error(f"bench: {told.pop(0)}")


def _end_recording(recorder: "Recorder", told: list[str]) -> None:
    """Close a recording, and say where it is, and what went wrong when its end was written."""
    written = recorder.close()
    _print_told(told)
    if written is None:
        printing.echo_error(f"bench: {recorder.directory}: nothing was recorded")
    elif not written.is_dir():
        printing.echo_error(f"bench: {written}: was removed while it was written; nothing is left of it")
    else:
        printing.echo_error(f"results: {written}; `bench show {written}` shows them")


def _serve(endpoint: tuple[str, int], closing: ExitStack) -> "Consumer":
    from bench.watch import openmetrics

    metrics = openmetrics.WatchMetrics()
    host, port = endpoint
    port = closing.enter_context(openmetrics.serve(metrics, host, port))
    name = f"[{host}]" if ":" in host else host
    printing.echo_error(f"bench: metrics at http://{name}:{port}/metrics")
    return metrics
