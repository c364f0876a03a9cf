"""The whole answer of `bench prove`: the proofs, what load costs, and the upgrade; as text and as values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from bench.prove.load_test import Cost, CostJson
from bench.prove.proof import Proof, ProofJson
from bench.prove.upgrade import Upgrade, UpgradeJson
from bench.report.config import load_test, proof, proof_markdown, upgrade


class ProofAnswerJson(TypedDict):
    """What `bench prove --format json` prints."""

    file: str
    backend_close: str
    proofs: list[ProofJson]
    load: list[CostJson]
    upgrade: UpgradeJson | None


@dataclass(slots=True)
class ProofAnswer:
    """What is printed about one configuration."""

    file: str
    backend_close: str
    proofs: Sequence[Proof] = ()
    costs: list[Cost] | None = None
    """None where no load was wanted."""
    upgrade: Upgrade | None = None

    @property
    def is_sound(self) -> bool:
        """Whether something was proven, nothing contradicts the verdicts, and an upgrade breaks nothing."""
        is_safe = self.upgrade is None or self.upgrade.is_safe
        return is_safe and all(each.is_sound for each in self.proofs)

    def to_json(self) -> ProofAnswerJson:
        """Return the answer as plain values."""
        return {
            "file": self.file,
            "backend_close": self.backend_close,
            "proofs": [each.to_json() for each in self.proofs],
            "load": [each.to_json() for each in self.costs or ()],
            "upgrade": None if self.upgrade is None else self.upgrade.to_json(),
        }


def format_text(answer: ProofAnswer) -> str:
    """Return all of it as plain text."""
    parts = [proof.format_proofs(answer.proofs, answer.backend_close)]
    if answer.costs is not None:
        parts.append(load_test.format_costs(answer.costs))
    if answer.upgrade is not None:
        parts.append(upgrade.format_upgrade(answer.upgrade))
    return "\n".join(parts)


def format_markdown(answer: ProofAnswer) -> str:
    """Return the upgrade as Markdown, or else what each nginx did."""
    if answer.upgrade is not None:
        return upgrade.format_markdown(answer.upgrade)
    return "\n".join(map(proof_markdown.format_markdown, answer.proofs))


FORMATS: Mapping[str, Callable[[ProofAnswer], str]] = {"text": format_text, "markdown": format_markdown}
