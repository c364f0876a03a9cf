"""Plan the edits of all broken locations, and take back those that repair nothing or make something worse."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nginx.errors import NginxConfigError
from nginx.fix.edits import CapacityUnknown, Edit, EditList, Unfixable, apply_edits
from nginx.fix.harms import Harm, find_harms
from nginx.fix.new_upstreams import Origin, origin
from nginx.fix.notes import Note, is_resolved_in_background, lost_connections, notes
from nginx.fix.planner import FixPlanner
from nginx.fix.pool_size import USUAL_SIZE
from nginx.hits import RuleHits
from nginx.loading import sources
from nginx.loading.includes import Configuration
from nginx.loading.inputs import ConfigInput
from nginx.model import Model, PassLocation, build_model
from nginx.rules import RuleContext
from nginx.tree import Place

_SMALLEST = 4
"""Of the pools that are made smaller, so that they fit into worker_connections."""
_UPSTREAM = re.compile(r"^\s*upstream\s+([\w.-]+)", re.MULTILINE)


@dataclass(slots=True)
class Attempt:
    """What is repaired and what is not, by where the pass directives are written."""

    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    repaired: set[Origin] = field(default_factory=set)
    skipped: dict[Origin, str] = field(default_factory=dict)
    """With the reasons."""
    accepted: dict[Origin, str] = field(default_factory=dict)
    """What is left as it is because somebody accepted that, and by what."""
    edits: dict[Origin, list[Edit]] = field(default_factory=dict)
    """What is to be changed for each that is repaired."""
    resolved_in_background: list[Place] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def attempt_repair(
    config: ConfigInput, already: Mapping[str, str], contexts: Sequence[RuleContext]
) -> Attempt:
    """Return the repair of what can be repaired; the contexts are of one model, as `config` is read."""
    return _Attempts(config, already, contexts).run()


class _Attempts:
    def __init__(
        self, config: ConfigInput, already: Mapping[str, str], contexts: Sequence[RuleContext]
    ) -> None:
        self._config = config
        self._already = already
        self._contexts = contexts
        self._configuration, self._sources = config.read(already)
        self._model = contexts[0].model
        self._origins = [origin(each) for each in self._model.passes]
        self._accepted = _accepted(contexts)
        self._taken = _names_beside(config, already)
        self._most = USUAL_SIZE
        self._apart: set[Origin] = set()
        """Locations that get lines of their own instead of those that they share."""
        self._askable: set[Origin] = set()
        """Locations that could be repaired if the capacity of their servers were known."""
        self._skipped: dict[Origin, str] = {}
        self._planned: dict[Origin, list[Edit]] = {}

    def run(self) -> Attempt:
        """Plan until nothing is worse; each turn leaves out a location, or makes pools smaller."""
        while True:
            self._plan()
            harms = self._harms(self._planned)
            if self._most > _SMALLEST and any(harm.is_of_size for harm in harms):
                self._most //= 2
                continue
            harms = [harm for harm in harms if not harm.is_of_size]
            if not harms:
                return self._finish()
            self._give_up(harms)

    def _give_up(self, harms: Sequence[Harm]) -> None:
        """Leave locations out: of two that harm each other the last one."""
        own: dict[Origin, str] = {}
        for harm in harms:
            planned = [self._origins[n] for n in sorted(harm.passes) if self._origins[n] in self._planned]
            if planned:
                own.setdefault(planned[-1], harm.reason)
        if own:
            self._skipped |= own
            return
        where, reason = self._first_to_harm(harms)
        if where in self._apart:
            self._skipped[where] = reason
        self._apart.add(where)

    def _plan(self) -> None:
        edits = EditList(self._sources, _shared_files(self._configuration, self._config))
        planner = FixPlanner(self._model, edits, self._contexts, self._taken, self._most)
        self._planned = {}
        for each, where in zip(self._model.passes, self._origins, strict=True):
            if where not in self._skipped and where not in self._accepted:
                try:
                    self._plan_one(planner, each, where)
                except Unfixable as error:
                    self._skipped[where] = str(error)
                    if isinstance(error, CapacityUnknown):
                        self._askable.add(where)
        for where in self._skipped:
            self._planned.pop(where, None)

    def _plan_one(self, planner: FixPlanner, each: PassLocation, where: Origin) -> None:
        if self._is_broken(where):
            self._planned.setdefault(where, []).extend(planner.plan(each, where in self._apart))
        elif limits := planner.plan_limits(each):
            self._planned.setdefault(where, []).extend(limits)

    def _is_broken(self, where: Origin) -> bool:
        passes = [each for each, own in zip(self._model.passes, self._origins, strict=True) if own == where]
        return any(ctx.verdict(each).answer != "reused" for each in passes for ctx in self._contexts)

    def _first_to_harm(self, harms: Sequence[Harm]) -> tuple[Origin, str]:
        """Return the first location whose edits, with those before it, harm one that is not repaired."""
        tried: list[Origin] = []
        for where in self._planned:
            tried.append(where)
            for harm in self._harms(tried):
                if not harm.is_of_size and not {self._origins[n] for n in harm.passes} & set(self._planned):
                    return where, harm.reason
        return next(iter(self._planned)), harms[0].reason

    def _harms(self, repaired: Collection[Origin]) -> list[Harm]:
        numbers = [number for number, where in enumerate(self._origins) if where in repaired]
        return find_harms(self._contexts, self._model_after(self._texts(repaired)), numbers)

    def _texts(self, repaired: Collection[Origin]) -> dict[str, str]:
        """Return the new text of each file that the edits of some locations change."""
        edits = [edit for where, own in self._planned.items() if where in repaired for edit in own]
        files = dict.fromkeys(edit.file for edit in edits)
        return {file: apply_edits(self._text(file), (e for e in edits if e.file == file)) for file in files}

    def _text(self, file: str) -> str:
        return self._sources.text(file) or ""

    def _model_after(self, texts: Mapping[str, str]) -> Model:
        return build_model(self._config.read({**self._already, **texts})[0])

    def _finish(self) -> Attempt:
        texts, before = self._texts(self._planned), self._model.passes
        after = self._model_after(texts)
        self._count_repaired_with_others(after)
        numbers = [
            number
            for number, where in enumerate(self._origins)
            if where in self._planned and self._is_broken(where)
        ]
        return Attempt(
            before={file: self._text(file) for file in texts},
            after=texts,
            repaired=set(self._planned),
            skipped={where: why for where, why in self._skipped.items() if where not in self._planned},
            accepted=self._accepted,
            edits=self._planned,
            resolved_in_background=[
                before[number].directive.place
                for number in numbers
                if is_resolved_in_background(before[number], after.passes[number])
            ],
            notes=[*notes(before, after, numbers, self._contexts[0].settings), *self._notes_on_askable()],
        )

    def _notes_on_askable(self) -> Iterator[Note]:
        """Yield what a pool would bring to locations for which the capacity is asked."""
        for each, where in zip(self._model.passes, self._origins, strict=True):
            if where in self._askable and where not in self._planned:
                yield from (Note(each.directive.place, text) for text in lost_connections(each))

    def _count_repaired_with_others(self, after: Model) -> None:
        """Count a location that was left out, but that lines for others repair."""
        contexts = [RuleContext(after, ctx.version, ctx.settings) for ctx in self._contexts]
        for where in filter(self._is_broken, self._skipped):
            passes = [each for each, own in zip(after.passes, self._origins, strict=True) if own == where]
            if all(ctx.verdict(each).answer == "reused" for each in passes for ctx in contexts):
                self._planned[where] = []


def _accepted(contexts: Sequence[RuleContext]) -> dict[Origin, str]:
    """Return the locations that are to stay as they are, each with by what that is accepted."""
    model, settings = contexts[0].model, contexts[0].settings
    if not model.configuration.ignored and not settings.ignored:
        return {}
    hits = [RuleHits.of(ctx) for ctx in contexts]
    found = {}
    for each in model.passes:
        broken = [one for one in hits if one.ctx.verdict(each).answer != "reused"]
        by = [one for found_by in broken for one in found_by.acceptances(each)]
        if by and all(one.acceptances(each) for one in broken):
            found[origin(each)] = "; ".join(dict.fromkeys(map(str, by)))
    return found


def _shared_files(configuration: Configuration, config: ConfigInput) -> frozenset[str]:
    """Return the files that a part of a configuration includes: other parts may include them too."""
    if not configuration.is_fragment:
        return frozenset()
    own = {config.file, *map(str, config.extra_files)}
    return frozenset(file for file in configuration.files if file not in own)


def _names_beside(config: ConfigInput, already: Mapping[str, str]) -> set[str]:
    """Return the names of upstreams in the files of the same folder, which one http {} may include."""
    texts = list(already.values())
    if config.text is None and config.dump is None:
        for path in sorted(Path(config.file).parent.glob("*.conf")):
            try:
                texts.append(sources.read_text(path))
            except NginxConfigError:
                continue
    return {name for text in texts for name in _UPSTREAM.findall(text)}
