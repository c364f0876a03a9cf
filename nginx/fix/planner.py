"""Plan the edits that make one location reuse its connections and change nothing else in it.

Header lists are completed where they stand, so that nothing inherited is masked.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from nginx.fix.edits import Edit, EditList, Unfixable
from nginx.fix.existing_pools import ExistingPools
from nginx.fix.new_upstreams import NewUpstreams, location_of, names_variable, reject_variable
from nginx.fix.pool_size import PoolSizer
from nginx.inheritance import Level
from nginx.model import Model, PassLocation
from nginx.rules import RuleContext
from nginx.targets import NEVER_REUSED, TargetKind
from nginx.tree import Directive
from nginx.upstream_request import connection_options, names_connection
from nginx.values import has_variables

_SEND_NO_CLOSE = 'proxy_set_header Connection "";'
_HOLDS_OTHERS = frozenset({"server", "location", "limit_except"})  # their directives are read on their own


def lines_to_fill_in(each: PassLocation) -> Iterator[Directive]:
    """Yield the lines about a location's connections that are filled in before nginx reads them."""
    decisive = [each.http.directive, each.keep_conn, *(used.size_to_fill_in for used in each.upstreams())]
    return (line for line in decisive if line is not None and line.is_filled_in)


class FixPlanner:
    """Gathers the edits of one configuration, location by location."""

    def __init__(
        self,
        model: Model,
        edits: EditList,
        contexts: Sequence[RuleContext],
        taken: Collection[str],
        most: int,
    ) -> None:
        self._model = model
        self._contexts = contexts
        self._edits = edits
        self._sizer = PoolSizer(contexts, most)
        self._pools = ExistingPools(model, edits, contexts, self._sizer)
        self._new_upstreams = NewUpstreams(edits, model, contexts, self._sizer, taken)

    def plan(self, each: PassLocation, apart: bool = False) -> list[Edit]:
        """Return the edits for one location; `apart`: without those to lines that others inherit or use.

        Raises:
            Unfixable: it cannot be repaired without changing something else.
        """
        self._reject_unfixable(each)
        names = dict(self._new_upstreams.names)
        try:
            with self._taken_back() as planned:
                lines = self._pool(each)
                if each.protocol == "http":
                    self._http_version(each)
                    more, replaced = self._connection(each, apart)
                    self._header_lines(each, [*lines, *more], replaced, apart)
                elif each.protocol == "fastcgi":
                    self._keep_conn(each)
        except Unfixable:
            self._new_upstreams.names = names
            raise
        return planned

    def plan_limits(self, each: PassLocation) -> list[Edit]:
        """Return the edits after which the pools of a location that reuses end connections in time.

        Raises:
            Unfixable: that cannot be, or not without changing something else.
        """
        pools = [used for used in each.upstreams() if self._pools.outlasts(used)]
        if pools:
            self._reject_unfixable(each)
        with self._taken_back() as planned:
            for used in pools:
                self._pools.limit(used, each.protocol)
        return planned

    @contextmanager
    def _taken_back(self) -> Iterator[list[Edit]]:
        """Collect the edits that are added meanwhile, and take them off the list."""
        mark, planned = len(self._edits.edits), list[Edit]()
        try:
            yield planned
        finally:
            planned += self._edits.edits[mark:]
            del self._edits.edits[mark:]

    def _reject_unfixable(self, each: PassLocation) -> None:
        configuration = self._model.configuration
        if not each.is_of_nginx:
            raise Unfixable(f"{each.directive.name} is of a module that is not part of nginx")
        if each.protocol in NEVER_REUSED:
            raise Unfixable(f"{each.protocol} connections are never reused")
        if configuration.templates:
            place, language = configuration.templates[0]
            raise Unfixable(f"{place} is a {language} template: repair what it renders to")
        for line in lines_to_fill_in(each):
            raise Unfixable(f"`{line}` ({line.place}) is filled in later: repair what it renders to")
        if has_variables(each.target):
            reject_variable(each)
        if any(target.kind is TargetKind.UNKNOWN for target in each.targets):
            raise Unfixable(f"it depends on {each.targets[0].depends_on}")
        if each.http.missing or each.connection.missing:
            raise Unfixable("an include that is missing here may decide")

    def _pool(self, each: PassLocation) -> list[str]:
        """Give the targets a pool; return the header lines that this makes necessary."""
        lines: list[str] = []
        for target in each.targets:
            upstream = target.upstream
            named = ("", [target.server]) if upstream is None else (upstream.name, upstream.addresses)
            closing = self._contexts[0].settings.closing_of(*named)
            if closing is not None:
                raise Unfixable(f"nothing would be reused: {closing}")
            if upstream is None:
                lines += self._new_upstreams.declare(each, target)
            else:
                self._pools.repair(upstream, each.protocol)
        return lines

    # The request

    def _http_version(self, each: PassLocation) -> None:
        if all(each.http.effective(ctx.version) != "1.0" for ctx in self._contexts):
            return
        line = each.http.directive
        if line is not None and line in location_of(each).block:
            self._edits.replace_argument(line, 0, "1.1")
        else:
            self._edits.add_to_location(each, "proxy_http_version 1.1;")

    def _connection(self, each: PassLocation, apart: bool) -> tuple[list[str], dict[Directive, str]]:
        """Return the Connection line to add, and the values to write into those that are in force."""
        if not each.connection.entries:
            closes = any(each.connection.is_default(ctx.version) for ctx in self._contexts)
            return ([_SEND_NO_CLOSE] if closes else []), {}
        replaced = {}
        for line, values in each.connection.entries:
            if any("close" in connection_options([value])[0] for value in values):
                value = self._without_close(line, apart)
                if value is not None:
                    replaced[line] = value
        return [], replaced

    def _without_close(self, line: Directive, apart: bool) -> str | None:
        """Return a value for a Connection line without close; None where its map gets another one."""
        if not has_variables(line.args[1]):
            return '""'
        name = line.args[1].strip("${}")
        block = self._model.variables.blocks.get(name)
        if block is None or block.args[:1] != ("$http_upgrade",):
            raise Unfixable(f"`{line}` ({line.place}) has its close from elsewhere: repair its value")
        other = self._other_use(name)
        if other is not None:
            raise Unfixable(f"{line.args[1]} is also used by `{other}` ({other.place})")
        entry = next((each for each in block.block or () if each.name == ""), None)
        if apart:
            kept = self._unused_variable(f"{name}_kept")
            self._edits.insert_copy(block, {(block, 1): f"${kept}"} | ({(entry, 0): "''"} if entry else {}))
            return f"${kept}"
        if entry is None:
            self._edits.append(block, "'' '';")
        else:
            self._edits.replace_argument(entry, 0, "''")
        return None

    def _unused_variable(self, wanted: str) -> str:
        name, number = wanted, 2
        while self._model.variables.is_defined(name):
            name, number = f"{wanted}_{number}", number + 1
        return name

    def _other_use(self, name: str) -> Directive | None:
        """Return a directive other than a Connection line in which a map's variable stands."""
        own = self._model.variables.blocks[name]
        for level in self._model.levels:
            for directive in level.block:
                words = (*directive.args, *(arg for entry in directive.block or () for arg in entry.args))
                is_ours = directive is own or (
                    directive.name == "proxy_set_header" and names_connection(directive)
                )
                if not is_ours and directive.name not in _HOLDS_OTHERS and names_variable(words, name):
                    return directive
        return None

    def _header_lines(
        self, each: PassLocation, lines: list[str], replaced: dict[Directive, str], apart: bool
    ) -> None:
        """Complete the header list in force without masking what was inherited.

        A list that others inherit is repaired where it stands if that is right for all of them; else the
        location gets one of its own.
        """
        owner = each.connection.owner
        own = owner.all("proxy_set_header") if owner else []
        is_inherited = owner is not None and owner is not location_of(each)
        if is_inherited and not apart and not lines:
            is_inherited = False
        elif is_inherited and not apart and lines == [_SEND_NO_CLOSE] and self._all_are_broken(owner):
            self._edits.insert_after(own[-1], _SEND_NO_CLOSE)
            return
        if is_inherited and (lines or replaced):
            for header in own:
                field, value = header.args[0], replaced.get(header)
                copy = self._edits.raw(header) if value is None else f"proxy_set_header {field} {value};"
                self._edits.add_to_location(each, copy)
        else:
            for header, value in replaced.items():
                self._edits.replace_argument(header, 1, value)
        # Behind the list that is there, so that the fields keep their order.
        after = (
            own[-1] if own and not is_inherited and own[-1].place.file == each.directive.place.file else None
        )
        for line in lines:
            self._edits.add_to_location(each, line, after)

    def _all_are_broken(self, owner: Level | None) -> bool:
        """Return whether every location with a list needs it repaired, so that the list itself can be."""
        sharing = [each for each in self._model.passes if each.connection.owner is owner]
        return all(ctx.verdict(each).answer != "reused" for each in sharing for ctx in self._contexts[:1])

    def _keep_conn(self, each: PassLocation) -> None:
        line = each.keep_conn
        if line is None or line not in location_of(each).block:
            if line is None or not line.is_on:
                self._edits.add_to_location(each, "fastcgi_keep_conn on;")
        elif not line.is_on:
            self._edits.replace_argument(line, 0, "on")
