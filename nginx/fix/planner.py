"""Plans the edits that make one location reuse its connections, and nothing else in it different.

Header lists are completed where they stand, so that nothing inherited is masked; an upstream {} for a target
that is none is nginx.naming's.
"""

from __future__ import annotations

from collections.abc import Sequence

from nginx.fix.draft import Draft, RefusedError
from nginx.fix.edits import Edit
from nginx.fix.new_upstreams import (
    Naming,
    location_of,
    names_variable,
    pool_lines,
    pool_size,
    refuse_variable,
)
from nginx.inheritance import Level
from nginx.loading.sources import Sources
from nginx.model import Model, PassLocation
from nginx.rules import Case
from nginx.targets import Group
from nginx.tree import Directive
from nginx.upstream_request import names_connection, tokens
from nginx.upstreams import Upstream
from nginx.values import has_variables

_CLOSE_TO_KEEP = 'proxy_set_header Connection "";'
# Limits that let no second request onto a connection, and nginx's defaults for them.
_LIMITS = (
    ("keepalive_requests", frozenset({"0", "1"}), "1000"),
    ("keepalive_timeout", frozenset({"0", "0s", "0ms"}), "60s"),
)
_HOLDS_OTHERS = frozenset({"server", "location", "limit_except"})  # their directives come on their own


class Planner:
    """Gathers the edits of one configuration, location by location."""

    def __init__(self, found: Model, known: Sources, cases: Sequence[Case]) -> None:
        self._model = found
        self._cases = cases
        self._draft = Draft(known)
        self._naming = Naming(self._draft, found, cases)

    @property
    def edits(self) -> Sequence[Edit]:
        """The edits so far."""
        return self._draft.edits

    def plan(self, each: PassLocation) -> None:
        """Adds the edits for one location.

        Raises:
            RefusedError: it cannot be repaired without changing something else.
        """
        self._refuse_what_cannot_be(each)
        mark, named = len(self._draft.edits), dict(self._naming.names)
        try:
            lines = self._pool(each)
            if each.protocol == "http":
                self._http_version(each)
                self._header_lines(each, [*lines, *self._connection(each)])
            elif each.protocol == "fastcgi":
                self._keep_conn(each)
        except RefusedError:
            del self._draft.edits[mark:]
            self._naming.names = named
            raise

    def _refuse_what_cannot_be(self, each: PassLocation) -> None:
        configuration = self._model.configuration
        if each.protocol in {"uwsgi", "scgi", "tunnel"}:
            raise RefusedError(f"{each.protocol} connections are never reused")
        if configuration.templates or configuration.problems:
            raise RefusedError(
                "the text is a template, or nginx would refuse it: that has to be repaired first"
            )
        if has_variables(each.target):
            refuse_variable(each)
        if any(target.group is Group.UNKNOWN for target in each.targets):
            raise RefusedError(f"it depends on {each.targets[0].hangs_on}")
        if each.http.missing or each.connection.missing:
            raise RefusedError("an include that is missing here may decide")

    # The pool

    def _pool(self, each: PassLocation) -> list[str]:
        """Gives the targets a pool; returns the header lines that this makes necessary."""
        lines: list[str] = []
        for target in each.targets:
            if target.upstream is None:
                lines += self._naming.name(each, target)
            elif not all(target.upstream.pool(case.version) for case in self._cases):
                self._existing_upstream(target.upstream)
        return lines

    def _existing_upstream(self, upstream: Upstream) -> None:
        line = upstream.keepalive
        servers = len(upstream.servers)
        if line is None:
            for added in pool_lines(self._cases[0], servers):
                self._draft.put_at_end(upstream.directive, added)
            return
        if line.args[:1] == ("0",):
            self._draft.replace_argument(line, 0, str(pool_size(self._cases[0], servers)))
        balancer = upstream.balancer_after_keepalive()
        if balancer is not None:
            self._draft.remove(line)
            self._draft.put_after(balancer, f"{line};")
        for name, refusing, value in _LIMITS:
            limit = upstream.directive.child(name)
            if limit is not None and limit.args[0] in refusing:
                self._draft.replace_argument(limit, 0, value)

    # What is said

    def _http_version(self, each: PassLocation) -> None:
        if all(each.http.known(case.version) != "1.0" for case in self._cases):
            return
        line = each.http.directive
        if line is not None and line in each.level.block:
            self._draft.replace_argument(line, 0, "1.1")
        else:
            self._draft.add(each, "proxy_http_version 1.1;")

    def _connection(self, each: PassLocation) -> list[str]:
        """Takes close out of the Connection lines in force; returns the line that has to be added."""
        if not each.connection.entries:
            closes = any(each.connection.is_default(case.version) for case in self._cases)
            return [_CLOSE_TO_KEEP] if closes else []
        for line, values in each.connection.entries:
            if any("close" in tokens([value])[0] for value in values):
                self._open(line)
        return []

    def _open(self, line: Directive) -> None:
        """Takes close out of a Connection line where it stands: in the line itself, or in its map."""
        if not has_variables(line.args[1]):
            self._draft.replace_argument(line, 1, '""')
            return
        block = self._model.variables.blocks.get(line.args[1].strip("${}"))
        if block is None or block.args[:1] != ("$http_upgrade",):
            raise RefusedError(f"`{line}` ({line.place}) has its close from elsewhere: repair its value")
        elsewhere = self._other_use(line.args[1].strip("${}"))
        if elsewhere is not None:
            raise RefusedError(f"{line.args[1]} is also used by `{elsewhere}` ({elsewhere.place})")
        entry = next((each for each in block.block or () if each.name == ""), None)
        if entry is None:
            self._draft.put_at_end(block, "'' '';")
        else:
            self._draft.replace_argument(entry, 0, "''")

    def _other_use(self, name: str) -> Directive | None:
        """Returns a directive other than a Connection line in which a map's variable stands."""
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

    def _header_lines(self, each: PassLocation, lines: list[str]) -> None:
        """Adds lines to the header list in force without masking what was inherited."""
        owner = each.connection.owner
        if not lines:
            return
        own: list[Directive] = []
        inherited: list[str] = []
        if owner is None or owner is location_of(each):
            own = owner.all("proxy_set_header") if owner else []
        elif lines == [_CLOSE_TO_KEEP] and self._all_are_broken(owner):
            last = owner.all("proxy_set_header")[-1]
            self._draft.put_after(last, _CLOSE_TO_KEEP)
            return
        else:
            inherited = [self._draft.raw(header) for header in owner.all("proxy_set_header")]
        # Behind the list that is there, so that the fields keep their order.
        beside = own[-1] if own and own[-1].place.file == each.directive.place.file else None
        for line in (*inherited, *lines):
            self._draft.add(each, line, beside)

    def _all_are_broken(self, owner: Level) -> bool:
        """Tells whether every location with a list needs it repaired, so that the list itself can be."""
        sharing = [each for each in self._model.passes if each.connection.owner is owner]
        return all(case.verdict(each).answer != "reused" for each in sharing for case in self._cases[:1])

    def _keep_conn(self, each: PassLocation) -> None:
        line = each.keep_conn
        if line is None or line not in each.level.block:
            if line is None or line.args != ("on",):
                self._draft.add(each, "fastcgi_keep_conn on;")
        elif line.args != ("on",):
            self._draft.replace_argument(line, 0, "on")
