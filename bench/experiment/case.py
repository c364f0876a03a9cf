"""A case: one way of doing what a scenario is about, on one subject. What one trial measures."""

from __future__ import annotations

from dataclasses import dataclass

from bench.plan import run_plan


@dataclass(frozen=True, slots=True)
class Case:
    """One way on one subject: what one trial measures."""

    variant: str
    subject: run_plan.Subject

    @property
    def name(self) -> str:
        """Return how tables call it."""
        return f"{self.variant} {self.subject_name}"

    @property
    def subject_name(self) -> str:
        """Return NAME or NAME@PROGRAM."""
        program = self.subject.program
        return self.subject.name if program is None else f"{self.subject.name}@{program}"
