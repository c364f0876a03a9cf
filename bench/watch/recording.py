"""Record a watch as a run, stretch by stretch, as it goes on."""

from collections import deque
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from bench.errors import WriteError
from bench.machine import describe
from bench.runs import storage
from bench.runs.record import SubjectRecord
from bench.runs.watch_trial import KEY, WatchPlan
from bench.watch.finding import WatchFinding
from bench.watch.known_hops import KnownHops
from bench.watch.masks import Masks
from bench.watch.model import Snapshot
from bench.watch.session import MOST_KEPT, Judge, Look
from bench.watch.stretches import LASTS_S, build_trials
from bench.watch.verdict import WatchVerdict

_MASKED = "a host"


class Recorder:
    """Keeps each look; writes a stretch when it is whole. States: open, failed, closed.

    Where the disk refuses, it says so once through `tell`, and writes no more: the watch goes on.
    """

    def __init__(
        self,
        directory: Path,
        plan: WatchPlan,
        judge: Judge,
        tell: Callable[[str], object],
        *,
        masks: Masks | None = None,
    ) -> None:
        """Begin a recording in `directory`, which is new or empty; WriteError where it cannot be written.

        With `masks` the addresses are masked before anything is judged or written, by `judge`.
        """
        self.directory = directory
        if masks is not None:
            requests = tuple(map(masks.spec, plan.requests))
            plan = replace(plan, scope=_MASKED, requests=requests, is_anonymized=True)
        self._writer = storage.create_at(directory, {KEY: asdict(plan)}, describe.describe())
        self._subject = SubjectRecord(plan.scope, "")
        self._masks, self._judge, self._tell = masks, judge, tell
        self._hops = KnownHops()
        self._stretch: list[Snapshot] = []
        self._masked: deque[Snapshot] = deque(maxlen=MOST_KEPT)
        self._verdict: WatchVerdict | None = None
        self._block = self._written = 0
        self._has_failed = False

    def __call__(self, look: Look) -> None:
        """Keep a look; write the stretch that it ends."""
        if self._has_failed:
            return
        snapshot = look.snapshot if self._masks is None else self._masks.snapshot(look.snapshot)
        self._masked.append(snapshot)
        self._verdict = look.verdict
        self._stretch.append(self._hops.fold(snapshot))
        # Intervals do not end to the millisecond: the nearest end counts.
        if self._lasts_s + snapshot.duration_s / 2 >= LASTS_S:
            self._write(is_cut=False)

    def close(self) -> Path | None:
        """Write what is left of the last stretch; return the folder, or None where nothing was recorded."""
        if self._stretch and not self._has_failed:
            # A piece is no stretch like the others, unless there is no other.
            self._write(is_cut=self._block > 0)
        self._writer.close()
        return self.directory if self._written else None

    @property
    def _lasts_s(self) -> float:
        return sum(each.duration_s for each in self._stretch)

    def _write(self, is_cut: bool) -> None:
        stretch, self._stretch = self._stretch, []
        self._block += 1
        if self._masks is not None:
            self._verdict = self._judge(tuple(self._masked))
        faults = () if self._verdict is None else self._verdict.faults
        trials = build_trials(
            stretch,
            self._hops,
            self._subject,
            block=self._block,
            first=self._written + 1,
            verdict=[_sentence(fault) for fault in faults],
            is_cut=is_cut,
        )
        try:
            for trial in trials:
                self._writer.add(trial, (), ())
                self._written += 1
        except WriteError as error:
            self._has_failed = True
            cause = error.__cause__
            why = cause.strerror if isinstance(cause, OSError) else error
            self._tell(f"{self.directory}: {why}; the recording ends here, and the watch goes on")


def _sentence(fault: WatchFinding) -> str:
    """Return a finding with its change in a line."""
    change = f" Change: {fault.change.rstrip('.')}." if fault.change else ""
    return f"{fault.hop}: {fault.summary}{change}"
