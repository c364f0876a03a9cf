"""Repairs a configuration: the smallest edits after which each repairable location reuses its connections.

What was written is judged again before it is handed out; a location that would still not reuse, or whose
connections would then be shared wrongly, is left as it was, with the reason. nginx.repairs plans the edits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nginx import versions
from nginx.errors import NginxConfigError
from nginx.fix import edits
from nginx.fix.draft import RefusedError
from nginx.fix.planner import Planner
from nginx.loading.inputs import Opening, openings
from nginx.loading.sources import Sources
from nginx.model import Model, model
from nginx.rules import CATALOGUE, Case, Settings
from nginx.tree import Place
from nginx.versions import Version

# What must not begin to apply because connections are pooled now.
_SHARED_WRONGLY = ("NK029", "NK030", "NK031", "NK032")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A location that is not repaired, and why."""

    place: Place
    context: str
    reason: str


@dataclass(slots=True)
class Repair:
    """What to write, and what could not be repaired.

    Attributes:
        before: the text of each file that changes, and `after` what it becomes.
        repaired: the pass directives, where they stood, that reuse their connections after it.
        refused: those that still do not.
        worse: those of them that share a line with repaired ones, so that nginx now closes first there.
        followed: those repaired whose names an upstream {} now resolves in the background: from the start
            until the first answer of the resolver, nginx answers 502 there.
        is_of_files: all texts are of files, which can be written.
    """

    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    repaired: list[Place] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    worse: list[Place] = field(default_factory=list)
    followed: list[Place] = field(default_factory=list)
    is_of_files: bool = True

    def add(self, other: Repair) -> None:
        """Adds what was done on top of this repair."""
        self.before |= {file: text for file, text in other.before.items() if file not in self.before}
        self.after |= other.after
        self.repaired += [place for place in other.repaired if place not in self.repaired]
        self.refused += [refusal for refusal in other.refused if refusal not in self.refused]
        self.worse += [place for place in other.worse if place not in self.worse]
        self.followed += [place for place in other.followed if place not in self.followed]

    def diff(self) -> str:
        """Returns the edits as a unified diff."""
        return edits.diff(self.before, self.after)


def fix(
    path: str | Path,
    asked: Sequence[str],
    *,
    root: Path | None = None,
    handed_over: Sequence[Path] = (),
    settings: Settings | None = None,
    text: str | None = None,
    repair: Repair | None = None,
) -> Repair:
    """Returns the repair of a file or folder after which it reuses under all versions asked for.

    Args:
        path: the file or folder; with `text`, only the name to report.
        asked: the nginx versions to reuse on.
        root: where absolute includes are looked up.
        handed_over: files that stand in for includes that lie elsewhere.
        settings: what the sizes of pools follow from.
        text: the configuration itself, such as standard input or an `nginx -T` dump.
        repair: a repair of others, which this one goes on with.

    Raises:
        NginxConfigError: the configuration cannot be read.
        VersionError: a version is none.
    """
    wanted = [versions.parse(version) for version in asked]
    whole = repair or Repair()
    for opening in openings(Path(path), root, handed_over, text):
        whole.add(_repair(opening, wanted, settings or Settings(), whole.after))
        whole.is_of_files = whole.is_of_files and opening.text is None and opening.dump is None
    return whole


def _repair(
    opening: Opening, wanted: Sequence[Version], settings: Settings, already: Mapping[str, str]
) -> Repair:
    configuration, known = opening.read(already)
    found = model(configuration)
    cases = [Case(found, version, settings) for version in wanted]
    refused: dict[Place, str] = {}
    while True:
        repair, planner = Repair(), Planner(found, known, cases)
        refused |= _plan(planner, cases, refused)
        _write(repair, planner, known)
        after = model(opening.read({**already, **repair.after})[0])
        trouble = _trouble(cases, after, wanted, refused)
        if not trouble:
            break
        refused |= trouble
    broken = [each for each in found.passes if _is_broken(cases, each.directive.place)]
    repair.repaired = [each.directive.place for each in broken if each.directive.place not in refused]
    repair.refused = [
        Refusal(each.directive.place, each.context, refused[each.directive.place])
        for each in broken
        if each.directive.place in refused
    ]
    repair.worse = _worse(cases, after)
    repair.followed = _followed(found, after)
    return repair


def _followed(before: Model, after: Model) -> list[Place]:
    """Returns the locations whose names were resolved for each request, and are by an upstream {} now."""
    return [
        old.directive.place
        for old, new in zip(before.passes, after.passes, strict=True)
        if not old.upstreams() and any(used.is_resolving for used in new.upstreams())
    ]


def _worse(cases: Sequence[Case], after: Model) -> list[Place]:
    """Returns the locations left as they were in which nginx now closes first, and did not before."""
    found: list[Place] = []
    for case in cases:
        judged = Case(after, case.version, case.settings)
        for old, new in zip(case.model.passes, after.passes, strict=True):
            before, now = case.verdict(old), judged.verdict(new)
            if now.closer == "nginx" and before.closer not in {"nginx", None}:
                found.append(old.directive.place)
    return list(dict.fromkeys(found))


def write(repair: Repair) -> None:
    """Writes a repair's files, each at once or not at all.

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
        beside = path.with_name(f".{path.name}.repaired")
        try:
            beside.write_bytes(text.encode())
            beside.chmod(path.stat().st_mode & 0o7777)
            beside.replace(path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise NginxConfigError(file, 0, f"cannot be written: {error.strerror}") from error


def _plan(planner: Planner, cases: Sequence[Case], refused: Mapping[Place, str]) -> dict[Place, str]:
    found = {}
    for each in cases[0].model.passes:
        place = each.directive.place
        if place not in refused and _is_broken(cases, place):
            try:
                planner.plan(each)
            except RefusedError as error:
                found[place] = str(error)
    return found


def _is_broken(cases: Sequence[Case], place: Place) -> bool:
    passes = [each for each in cases[0].model.passes if each.directive.place == place]
    return any(case.verdict(each).answer != "reused" for each in passes for case in cases)


def _write(repair: Repair, planner: Planner, known: Sources) -> None:
    for file in dict.fromkeys(edit.file for edit in planner.edits):
        repair.before[file] = known.text(file) or ""
        own = [edit for edit in planner.edits if edit.file == file]
        repair.after[file] = edits.applied(repair.before[file], own)


def _trouble(
    cases: Sequence[Case], after: Model, wanted: Sequence[Version], refused: Mapping[Place, str]
) -> dict[Place, str]:
    """Returns why locations have to be left as they were, judged by the text that would be written."""
    old = cases[0].model.passes
    places = {id(new): before.directive.place for before, new in zip(old, after.passes, strict=True)}
    trouble: dict[Place, str] = {}
    for case, version in zip(cases, wanted, strict=True):
        judged = Case(after, version, case.settings)
        known = {(rule, place) for rule, place, _ in _wrongly_shared(case)}
        shared = {
            places[each]: text
            for rule, each, text in _hits_by_pass(judged)
            if (rule, places[each]) not in known
        }
        still = {
            places[id(each)]: f"it would still be so: {judged.verdict(each).reason}"
            for each in after.passes
            if judged.verdict(each).answer != "reused"
        }
        trouble |= still | shared
    return {place: why for place, why in trouble.items() if place not in refused and _is_broken(cases, place)}


def _hits_by_pass(case: Case) -> list[tuple[str, int, str]]:
    hits = [
        (rule, hit) for rule in _SHARED_WRONGLY if (detect := CATALOGUE[rule].detect) for hit in detect(case)
    ]
    return [(rule, id(each), hit.message) for rule, hit in hits for each in hit.passes]


def _wrongly_shared(case: Case) -> list[tuple[str, Place, str]]:
    places = {id(each): each.directive.place for each in case.model.passes}
    return [(rule, places[each], text) for rule, each, text in _hits_by_pass(case)]
