"""Two or more plans in one run: their trials take turns, block by block, in random order. Writes no text."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.experiment import recorder
from bench.experiment.recorder import PlannedTrial, numbered
from bench.experiment.stage import Stage
from bench.experiment.stopping import Stopping, groups_of
from bench.machine import describe
from bench.plan.ab_sides import AbSide, agreed_trials
from bench.progress import Progress
from bench.runs import storage
from bench.runs.record import Run


def perform(
    given: Sequence[AbSide], stage: Stage, root: Path, progress: Progress, stopping: Stopping
) -> tuple[Run, ...]:
    """Run the trials of all plans on `stage`, in blocks, and return a run for each.

    A block has one trial of each mode of each plan; an interrupted trial is the last. PlanError before
    anything is written where a plan asks for what its subject cannot do, or where the plans disagree on the
    number of trials.
    """
    most = agreed_trials(given)
    for side in given:
        stage.check(side.plan)
    seed = given[0].plan.seed or recorder.draw_seed()
    sides = [replace(side, plan=replace(side.plan, seed=seed)) for side in given]
    facts = describe.describe()
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                storage.create(
                    root,
                    side.plan.to_json(),
                    facts,
                    label=f"ab-{side.label}",
                    target=stage.probe(side.plan),
                    machines=stage.machines,
                    interleaved=str(seed),
                    most_blocks=most if stopping.looks else None,
                )
            )
            for side in sides
        ]
        items = [(at, mode) for at, side in enumerate(sides) for mode in side.plan.modes]
        progress.started(writers[0].directory, len(items) * most)

        def go_on(block: int) -> bool:
            return stopping.go_on(block, most, lambda: groups_of([writer.run for writer in writers]))

        interrupted = recorder.record(
            PlannedTrial(
                writers[at],
                partial(stage.perform, sides[at].plan, place.trial, mode, progress),
                place.block,
            )
            for place, (at, mode) in numbered(items, most, seed, go_on)
        )
        return tuple(recorder.finished(writer, interrupted) for writer in writers)
