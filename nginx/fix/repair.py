"""Repair a configuration: the smallest edits after which each fixable location reuses its connections.

The new text is checked before it is returned. A location that would still not reuse its connections, or
whose connections would then be shared wrongly, is left as it was, with the reason.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nginx import versions
from nginx.errors import NginxConfigError
from nginx.fix.edits import Unfixable, apply_edits, unified_diff
from nginx.fix.planner import FixPlanner
from nginx.loading.inputs import ConfigInput, find_inputs
from nginx.loading.sources import Sources
from nginx.model import Model, PassLocation, build_model
from nginx.rules import CATALOGUE, CheckSettings, RuleContext
from nginx.tree import Place
from nginx.verdict import compute_verdict
from nginx.versions import Version

# What must not begin to apply because connections are pooled now.
_SHARED_WRONGLY = ("NK029", "NK030", "NK031", "NK032")


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
    """The pass directives, at their old places, that now reuse their connections."""
    skipped: list[SkippedLocation] = field(default_factory=list)
    """The locations that still do not."""
    worse: list[Place] = field(default_factory=list)
    """Those of them that share a line with repaired ones, so that nginx now closes first there."""
    resolved_in_background: list[Place] = field(default_factory=list)
    """Those whose names an upstream {} now resolves: 502 from the start until the first answer."""
    is_of_files: bool = True
    """All texts are of files, which can be written."""

    def add(self, other: "Repair") -> None:
        """Add a later repair to this one."""
        self.before |= {file: text for file, text in other.before.items() if file not in self.before}
        self.after |= other.after
        self.skipped += [each for each in other.skipped if each not in self.skipped]
        self.repaired += [place for place in other.repaired if place not in self.repaired]
        self.worse += [place for place in other.worse if place not in self.worse]
        known = self.resolved_in_background
        known += [place for place in other.resolved_in_background if place not in known]

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

    Raises:
        NginxConfigError: the configuration cannot be read.
        VersionError: a version cannot be parsed.
    """
    parsed = [versions.parse(version) for version in nginx_versions]
    total = repair or Repair()
    for each in find_inputs(Path(path), root, extra_files, text):
        total.add(_repair(each, parsed, settings or CheckSettings(), total.after))
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
    config: ConfigInput, parsed: Sequence[Version], settings: CheckSettings, already: Mapping[str, str]
) -> Repair:
    configuration, sources = config.read(already)
    model = build_model(configuration)
    contexts = [RuleContext(model, version, settings) for version in parsed]
    skipped: dict[Place, str] = {}
    while True:
        repair, planner = Repair(), FixPlanner(model, sources, contexts)
        skipped |= _plan(planner, contexts, skipped)
        _apply(repair, planner, sources)
        after = build_model(config.read({**already, **repair.after})[0])
        rejected = _rejected(contexts, after, skipped)
        if not rejected:
            break
        skipped |= rejected
    for each in model.passes:
        place = each.directive.place
        if place in skipped:
            repair.skipped.append(SkippedLocation(place, each.context, skipped[place]))
        elif _is_broken(contexts, place):
            repair.repaired.append(place)
    repair.worse = _worse(contexts, after)
    repair.resolved_in_background = _resolved_in_background(model, after)
    return repair


def _plan(
    planner: FixPlanner, contexts: Sequence[RuleContext], skipped: Mapping[Place, str]
) -> dict[Place, str]:
    """Plan the edits of each broken location; return why some cannot be repaired."""
    found = {}
    for each in contexts[0].model.passes:
        place = each.directive.place
        if place not in skipped and _is_broken(contexts, place):
            try:
                planner.plan(each)
            except Unfixable as error:
                found[place] = str(error)
    return found


def _apply(repair: Repair, planner: FixPlanner, sources: Sources) -> None:
    for file in dict.fromkeys(edit.file for edit in planner.edits):
        repair.before[file] = sources.text(file) or ""
        own = [edit for edit in planner.edits if edit.file == file]
        repair.after[file] = apply_edits(repair.before[file], own)


def _is_broken(contexts: Sequence[RuleContext], place: Place) -> bool:
    passes = [each for each in contexts[0].model.passes if each.directive.place == place]
    return any(ctx.verdict(each).answer != "reused" for each in passes for ctx in contexts)


def _rejected(
    contexts: Sequence[RuleContext], after: Model, skipped: Mapping[Place, str]
) -> dict[Place, str]:
    """Return why locations have to be left as they were, judged by the text that would be written."""
    reasons: dict[Place, str] = {}
    for ctx in contexts:
        new_ctx = RuleContext(after, ctx.version, ctx.settings)
        places = {
            id(new): old.directive.place for old, new in zip(ctx.model.passes, after.passes, strict=True)
        }
        for each in after.passes:
            verdict = new_ctx.verdict(each)
            if verdict.answer != "reused":
                reasons[places[id(each)]] = f"it would still be so: {verdict.reason}"
        known = {(rule, each.directive.place) for rule, each, _ in _wrongly_shared(ctx)}
        for rule, each, message in _wrongly_shared(new_ctx):
            if (rule, places[id(each)]) not in known:
                reasons[places[id(each)]] = message
    return {
        place: why for place, why in reasons.items() if place not in skipped and _is_broken(contexts, place)
    }


def _wrongly_shared(ctx: RuleContext) -> Iterator[tuple[str, PassLocation, str]]:
    """Yield the locations whose pooled connections are shared wrongly, with the rule and its message."""
    for rule in _SHARED_WRONGLY:
        for hit in CATALOGUE[rule].detect(ctx):
            yield from ((rule, each, hit.message) for each in hit.passes)


def _worse(contexts: Sequence[RuleContext], after: Model) -> list[Place]:
    """Return the locations left as they were in which nginx now closes first, and did not before."""
    found: dict[Place, None] = {}
    for ctx in contexts:
        for old, new in zip(ctx.model.passes, after.passes, strict=True):
            before, now = ctx.verdict(old), compute_verdict(new, ctx.version)
            if now.closes_first == "nginx" and before.closes_first not in {"nginx", None}:
                found[old.directive.place] = None
    return list(found)


def _resolved_in_background(before: Model, after: Model) -> list[Place]:
    """Return the locations whose names were resolved for each request, and now are by an upstream {}."""
    return [
        old.directive.place
        for old, new in zip(before.passes, after.passes, strict=True)
        if not old.upstreams() and any(used.is_resolving for used in new.upstreams())
    ]
