"""A run as it is written: trial by trial, into a folder of its own. Knows no kind of trial."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from bench.runs.record import Latencies, Moment, Recorded
from bench.runs.storage import Folder

R = TypeVar("R", bound=Recorded[Any])


class Writer(Generic[R]):
    """Writes one run. States: open, closed; a run without a trial leaves nothing behind."""

    def __init__(self, root: Path, label: str, begun: datetime, file: str, run: R) -> None:
        """Open a new folder under `root`, named after the moment and `label`; `file` is that of the trials.

        ResultsError where that cannot be done.
        """
        self._folder = Folder.create(root, label, begun, file, run.header())
        self._header = run
        self._trials: list[Any] = []

    @property
    def directory(self) -> Path:
        """Return where the run is written."""
        return self._folder.directory

    @property
    def run(self) -> R:
        """Return the run as far as it has been written."""
        directory = None if self._folder.is_empty else str(self.directory)
        return dataclasses.replace(self._header, trials=tuple(self._trials), directory=directory)

    def __enter__(self) -> Writer[R]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.close()

    def add(self, trial: Any, moments: Iterable[Moment], latencies: Iterable[Latencies]) -> None:
        """Append a trial that has ended, with its rows and histograms, and flush them."""
        self._folder.add(trial.to_json(), moments, latencies)
        self._trials.append(trial)
