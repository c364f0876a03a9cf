"""What a command prints of a run, of modes or of a scenario, and the exit code that it ends with."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from bench.commands import printing
from bench.commands.answering import KEY_ROWS, Answers
from bench.commands.run_output import build_output
from bench.errors import ExitCode, ResultsError

if TYPE_CHECKING:
    from bench.experiment.stopping import Stopping
    from bench.runs.record import RunRecord

P = ParamSpec("P")
T = TypeVar("T")


def print_damage(damage: Sequence[str]) -> None:
    """Print what of a run could not be read."""
    for line in damage:
        printing.echo_error(f"bench: {line}")


def print_run(done: "RunRecord[Any]", picture: Path | None) -> None:
    """Print the table of a run, and its finding or its conclusion."""
    from bench.report.run import incident
    from bench.report.run import text as run_text
    from bench.report.scenario import text as scenario_text
    from bench.report.sweep import text as sweep_text
    from bench.report.watch import recorded
    from bench.scenarios import catalogue

    if done.kind == "watch":
        text = recorded.format_run(done, picture)
    elif done.kind == "sweep":
        text = sweep_text.format_run(done, picture)
    elif done.kind == "scenario":
        text = scenario_text.format_run(catalogue.load(done.scenario), done, picture)
    else:
        text = (incident if len(done.subjects) > 1 else run_text).format_run(done, picture)
    printing.echo(text, nl=False)


def draw_run(done: "RunRecord[Any]") -> Path | None:
    """Draw the run's picture into its folder, where there is something to draw; return where it is."""
    from bench.report.run import side_picture
    from bench.report.scenario import case_picture
    from bench.report.sweep import picture as sweep_picture
    from bench.report.watch import recorded_page
    from bench.scenarios import catalogue

    if not done.trials or done.directory is None:
        return None
    if done.kind == "watch":
        return recorded_page.save_picture(done)[0]
    if done.kind == "sweep":
        return sweep_picture.save_run(done)[0]
    if done.kind == "run":
        return side_picture.save_run(Path(done.directory))[0]
    return case_picture.save_run(catalogue.load(done.scenario), done, Path(done.directory))[0]


def finish(
    done: "RunRecord[Any]", as_json: bool, quiet: bool, stopping: "Stopping | None" = None
) -> NoReturn:
    """Draw a run that has just been made, print what was requested of it, and exit.

    `stopping` holds the rules that it was made by; without them the run answers no question.
    """
    from bench.analysis import claims
    from bench.report.sweep import search_text

    picture, unsaved = attempt(draw_run, done)
    answers = None if stopping is None else Answers([done], stopping)
    if as_json:
        printing.echo_json(build_output(done, answers))
    elif quiet:
        if done.directory is not None:  # nothing is kept of a run that ended before its first trial
            printing.echo(done.directory)
        if answers is not None:
            answers.print_unmet()
    else:
        print_run(done, picture)
        if answers is not None and stopping is not None and (done.kind == "run" or stopping.looks):
            answers.print(KEY_ROWS if done.kind == "run" else ())
    code = search_text.exit_code(done) if done.objective else claims.exit_code([done])
    end([done], unsaved, code if answers is None else answers.end_after(code))


def attempt(write: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> tuple[T | None, ResultsError | None]:
    """Return what `write` returns, or why it could not: what was measured is to be shown all the same."""
    try:
        return write(*args, **kwargs), None
    except ResultsError as error:
        return None, error


def end(runs: "Sequence[RunRecord[Any]]", unsaved: ResultsError | None, answer: ExitCode) -> NoReturn:
    """Say last what failed in `runs`, and what could not be saved of them, and exit.

    The answer of a command, that of a comparison for instance, is told before what failed beside it.
    """
    problems = [run.problem for run in runs if run.problem is not None]
    for problem in (*problems, *([unsaved] if unsaved is not None else [])):
        printing.echo_error(f"bench: {problem}")
    if any(run.interrupted for run in runs):
        sys.exit(ExitCode.INTERRUPTED)
    if problems:
        sys.exit(ExitCode.ENVIRONMENT)
    sys.exit(answer if answer or unsaved is None else unsaved.exit_code)
