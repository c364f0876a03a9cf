"""Repair a configuration: the smallest edits after which each fixable location reuses its connections.

The new text is judged before it is returned. A location that would still not reuse its connections, or whose
repair would make any location worse, is left as it was, with the reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nginx import versions
from nginx.errors import NginxConfigError
from nginx.fix.attempts import attempt_repair
from nginx.fix.edits import unified_diff
from nginx.fix.harms import refusals
from nginx.fix.hunks import Hunk, complete, hunks
from nginx.fix.new_upstreams import origin
from nginx.fix.notes import Note
from nginx.loading.inputs import ConfigInput, find_inputs
from nginx.model import build_model
from nginx.rules import CheckSettings, RuleContext
from nginx.tree import Place
from nginx.versions import Version


@dataclass(frozen=True, slots=True)
class SkippedLocation:
    """A location that is not repaired, and why."""

    place: Place
    context: str
    reason: str


@dataclass(slots=True)
class Repair:
    """What to write, and what could not be repaired."""

    before: dict[str, str] = field(default_factory=dict)
    """The text of each file that changes."""
    after: dict[str, str] = field(default_factory=dict)
    """The new text of each of them."""
    repaired: list[Place] = field(default_factory=list)
    """The pass directives, at their old places, that now reuse their connections, or end them in time."""
    hunks: dict[Place, list[Hunk]] = field(default_factory=dict)
    """What is changed for each of them, by its place."""
    skipped: list[SkippedLocation] = field(default_factory=list)
    """The locations that still do not."""
    accepted: list[SkippedLocation] = field(default_factory=list)
    """Those that stay as they are because somebody accepted that; the reason is by what."""
    refused: dict[Place, str] = field(default_factory=dict)
    """What nginx refuses, with the reason: nothing there was repaired."""
    left_out: dict[Version, str] = field(default_factory=dict)
    """The versions that were not judged for, because they refuse the text, with the reason."""
    resolved_in_background: list[Place] = field(default_factory=list)
    """Those whose names an upstream {} now resolves: 502 from the start until the first answer."""
    notes: list[Note] = field(default_factory=list)
    """What the repaired locations bring with them."""
    locations: int = 0
    """How many locations pass requests on, repaired or not."""
    is_of_files: bool = True
    """All texts are of files, which can be written."""

    def add(self, other: "Repair") -> None:
        """Add a later repair to this one."""
        self.before |= {file: text for file, text in other.before.items() if file not in self.before}
        self.after |= other.after
        self.hunks |= other.hunks
        self.refused |= other.refused
        self.locations += other.locations
        self.left_out |= other.left_out
        self.skipped += [each for each in other.skipped if each not in self.skipped]
        self.accepted += [each for each in other.accepted if each not in self.accepted]
        self.repaired += [place for place in other.repaired if place not in self.repaired]
        known = self.resolved_in_background
        known += [place for place in other.resolved_in_background if place not in known]
        self.notes += [note for note in other.notes if note not in self.notes]

    def diff(self) -> str:
        """Return the edits as a unified diff."""
        return unified_diff(self.before, self.after)


def fix(
    path: str | Path,
    nginx_versions: Sequence[str],
    *,
    root: Path | None = None,
    extra_files: Sequence[Path] = (),
    settings: CheckSettings | None = None,
    text: str | None = None,
    repair: Repair | None = None,
    may_leave_out: bool = False,
) -> Repair:
    """Return the repair of a file or folder after which it reuses connections under all versions.

    Args:
        path: the file or folder; with `text`, only the name to report.
        nginx_versions: the nginx versions to reuse on.
        root: where absolute includes are looked up.
        extra_files: files that replace includes that lie elsewhere.
        settings: what the sizes of pools follow from.
        text: the configuration itself, such as standard input or an `nginx -T` dump.
        repair: an earlier repair, to which this one is added.
        may_leave_out: do without versions that refuse the text, as long as one does not.

    Raises:
        NginxConfigError: the configuration cannot be read.
        VersionError: a version cannot be parsed.
    """
    parsed = [versions.parse(version) for version in nginx_versions]
    total = repair or Repair()
    for each in find_inputs(Path(path), root, extra_files, text):
        total.add(_repair(each, parsed, settings or CheckSettings(), total.after, may_leave_out))
        total.is_of_files = total.is_of_files and each.text is None and each.dump is None
    return total


def write(repair: Repair) -> None:
    """Write a repair's files, each at once or not at all.

    Raises:
        NginxConfigError: a file changed meanwhile, cannot be written, or holds bytes that are no UTF-8;
            or the texts are of a dump, which is no file that nginx reads.
    """
    if not repair.is_of_files:
        raise NginxConfigError(
            next(iter(repair.after), "the configuration"), 0, "is part of a dump: apply the diff instead"
        )
    for file, text in repair.after.items():
        path = Path(file).resolve()
        if path.read_bytes() != repair.before[file].encode():
            raise NginxConfigError(file, 0, "changed meanwhile, or is no UTF-8: nothing was written to it")
        temporary = path.with_name(f".{path.name}.repaired")
        try:
            temporary.write_bytes(text.encode())
            temporary.chmod(path.stat().st_mode & 0o7777)
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise NginxConfigError(file, 0, f"cannot be written: {error.strerror}") from error


def _repair(
    config: ConfigInput,
    parsed: Sequence[Version],
    settings: CheckSettings,
    already: Mapping[str, str],
    may_leave_out: bool,
) -> Repair:
    model = build_model(config.read(already)[0])
    contexts = [RuleContext(model, version, settings) for version in parsed]
    refused = {ctx.version: found[0] for ctx in contexts if (found := list(refusals(ctx)))}
    accepting = [ctx for ctx in contexts if ctx.version not in refused]
    if refused and not (accepting and may_leave_out):
        version, (place, reason) = next(iter(refused.items()))
        of = "" if len(refused) == len(contexts) else f" {version}"
        return Repair(refused={place: f"nginx{of} refuses it ({reason}): correct that first"})
    attempt = attempt_repair(config, already, accepting)
    repair = Repair(attempt.before, attempt.after, notes=attempt.notes)
    repair.resolved_in_background = attempt.resolved_in_background
    repair.locations = len(model.passes)
    repair.left_out = {version: f"{place}: {reason}" for version, (place, reason) in refused.items()}
    for each in model.passes:
        where = origin(each)
        if where in attempt.skipped:
            skipped = SkippedLocation(each.directive.place, each.context, attempt.skipped[where])
            repair.skipped.append(skipped)
        elif where in attempt.accepted:
            accepted = SkippedLocation(each.directive.place, each.context, attempt.accepted[where])
            repair.accepted.append(accepted)
        elif where in attempt.repaired:
            repair.repaired.append(each.directive.place)
            edits = attempt.edits[where]
            repair.hunks[each.directive.place] = [
                hunk
                for file in dict.fromkeys(edit.file for edit in edits)
                for hunk in hunks(file, attempt.before[file], edits)
            ]
    repair.hunks = complete(repair.hunks)
    return repair
