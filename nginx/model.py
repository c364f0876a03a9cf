"""Build the model of a configuration: its pass locations with all that decides about their connections."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from nginx import subrequests, third_party
from nginx.inheritance import Level, find_levels
from nginx.loading.includes import Configuration
from nginx.resolving import endpoint, unresolved_names
from nginx.targets import NEVER_REUSED, PROTOCOLS, STREAM, Target, UpstreamNames, target_text
from nginx.tree import Directive
from nginx.upstream_request import ConnectionFields, HttpVersion, connection_fields, http_version
from nginx.upstreams import Upstream
from nginx.values import has_variables
from nginx.variables import Definitions, Scope, find_definitions


@dataclass(frozen=True, slots=True, eq=False)
class PassLocation:
    """One pass directive with all that decides about its connections, under any version."""

    directive: Directive
    level: Level
    protocol: str
    targets: list[Target]
    http: HttpVersion
    connection: ConnectionFields
    keep_conn: Directive | None
    scope: Scope
    subrequest: Directive | None = None
    """The auth_request or mirror line whose subrequests come to the location, if one does."""
    unresolved: tuple[str, ...] = ()
    """Names that nginx would look up for each request, without a resolver to do so."""
    conditional: "tuple[PassLocation, ...]" = ()
    """The same pass where each condition of a template holds, and where none does."""

    @property
    def context(self) -> str:
        """The block that holds the directive, as written: `location /api/`."""
        return str(self.level)

    @property
    def target(self) -> str:
        """The target as written."""
        return target_text(self.directive)

    @property
    def is_of_nginx(self) -> bool:
        """Whether the pass is one of nginx's own, whose connections are known."""
        return self.directive.name in PROTOCOLS

    @property
    def may_be_pooled(self) -> bool:
        """Whether nginx pools connections of this protocol at all, as far as it is known."""
        return self.is_of_nginx and self.protocol not in NEVER_REUSED

    @property
    def is_only_for_subrequests(self) -> bool:
        """Whether nothing but subrequests of auth_request or mirror is meant to come here."""
        location = self.level.enclosing("location")
        return bool(location and self.subrequest and subrequests.is_only_for(location, self.subrequest))

    @property
    def has_no_body(self) -> bool:
        """Whether its answers have no body, because all its requests become HEAD."""
        line = self.setting("proxy_method")
        return self.protocol == "http" and line is not None and line.args[:1] == ("HEAD",)

    @property
    def body_line(self) -> Directive | None:
        """The line that replaces or leaves out the body of requests over HTTP, if there is one."""
        line = self.setting("proxy_set_body") or self.setting("proxy_pass_request_body")
        return None if line is None or line.is_on else line

    @property
    def is_over_udp(self) -> bool:
        """Whether it passes the sessions of a `listen ... udp` of stream {}."""
        return self.protocol == STREAM and any("udp" in line.args for line in self.level.all("listen"))

    @property
    def is_over_sockets(self) -> bool:
        """Whether all its servers are reached through socket files, so that no port is at stake."""
        servers = (line.args[0] for upstream in self.upstreams() for line in upstream.servers if line.args)
        addresses = [target.authority or target.text for target in self.targets if target.upstream is None]
        return all(address.startswith("unix:") for address in (*servers, *addresses))

    def upstreams(self) -> list[Upstream]:
        """Return the upstreams that the location is known to use."""
        return [target.upstream for target in self.targets if target.upstream is not None]

    @property
    def prefix(self) -> str:
        """What the directives of the location's protocol begin with: `proxy`, `fastcgi`, `grpc`, ..."""
        return "proxy" if self.protocol == "http" else self.protocol

    def module_setting(self, name: str) -> Directive | None:
        """Return the merged setting of that name of the protocol's module: proxy_..., fastcgi_..., ..."""
        return self.level.inherited(f"{self.prefix}_{name}")

    def setting(self, name: str) -> Directive | None:
        """Return the directive that a merged setting of this location takes its value from."""
        return self.level.inherited(name)


@dataclass(slots=True, eq=False)
class Model:
    """A configuration as nginx would act on it."""

    configuration: Configuration
    http: Level
    """The level of http {} itself."""
    levels: list[Level]
    """All levels, outer before inner."""
    names: UpstreamNames
    variables: Definitions
    passes: list[PassLocation] = field(default_factory=list)
    """The pass locations in the order of the text."""
    _users: dict[int, list[PassLocation]] = field(default_factory=dict)

    @property
    def upstreams(self) -> list[Upstream]:
        """The upstream {} blocks."""
        return list(self.names.upstreams.values())

    @property
    def passes_of_http(self) -> list[PassLocation]:
        """The pass locations of http {}, without those of stream {}."""
        return [each for each in self.passes if each.protocol != STREAM]

    def users(self, upstream: Upstream) -> list[PassLocation]:
        """Return the pass locations that use an upstream."""
        if not self._users:
            for each in self.passes:
                for used in {id(used): used for used in each.upstreams()}:
                    self._users.setdefault(used, []).append(each)
        return self._users.get(id(upstream), [])


def build_model(configuration: Configuration) -> Model:
    """Return the model of a configuration."""
    found = _build(configuration)
    for case in configuration.conditional:
        _add_case(found, _build(case))
    return found


def _add_case(found: Model, case: Model) -> None:
    """Add to each pass what it is in one case of a template's conditions, with the same upstreams."""
    others: dict[object, list[PassLocation]] = {}
    for each in case.passes:
        others.setdefault((each.directive.place, each.directive.args), []).append(each)
    for number, each in enumerate(found.passes):
        same = others.get((each.directive.place, each.directive.args))
        other = same.pop(0) if same else None
        if other is not None and _names_of(other) == _names_of(each):
            found.passes[number] = replace(each, conditional=(*each.conditional, other))


def _names_of(each: PassLocation) -> list[str]:
    return [upstream.name for upstream in each.upstreams()]


def _build(configuration: Configuration) -> Model:
    found = find_levels(configuration.http)
    names = UpstreamNames.of(found[0], _changes_upstreams(found))
    variables = find_definitions(found, is_whole=not configuration.is_fragment and not configuration.missing)
    result = Model(configuration, found[0], found, names, variables)
    lines = subrequests.subrequest_lines(found)
    for level in found:
        for directive in level.block:
            if _passes(directive) and _may_pass(level, result):
                each = _pass_location(directive, level, names, variables)
                line = lines.get(id(level.enclosing("location")))
                result.passes.append(replace(each, subrequest=line) if line else each)
    if not configuration.is_fragment:
        _find_unresolved(result)
    result.passes += _stream_passes(configuration, result)
    return result


def _find_unresolved(found: Model) -> None:
    """Note in each pass the names that nothing resolves; a fragment leaves that open."""
    plain = (each for each in found.passes if not has_variables(each.target))
    literal = frozenset(endpoint(target) for each in plain for target in each.targets)
    for number, each in enumerate(found.passes):
        names = unresolved_names(each.target, each.targets, each.level, literal)
        found.passes[number] = replace(each, unresolved=names) if names else each


def _changes_upstreams(levels: list[Level]) -> Directive | None:
    """Return the line through which upstreams can be changed at run time, if there is one."""
    lines = (line for level in levels for line in level.block)
    return next(filter(third_party.changes_upstreams, lines), None)


def _stream_passes(configuration: Configuration, found: Model) -> Iterator[PassLocation]:
    """Yield the passes of stream {}: it has upstreams, maps and servers of its own.

    A fragment with proxy_pass directly in server {} is one for stream {}.
    """
    for block in (*configuration.main, *configuration.http):
        if block.name == "stream" and block.block is not None:
            levels = find_levels(block.block)
            names, variables = UpstreamNames.of(levels[0]), find_definitions(levels, is_whole=False)
            yield from _passes_of_servers(levels, names, variables)
    if configuration.is_fragment:
        yield from _passes_of_servers(found.levels, found.names, found.variables)


def _passes_of_servers(
    levels: list[Level], names: UpstreamNames, variables: Definitions
) -> Iterator[PassLocation]:
    for level in levels:
        for directive in level.all("proxy_pass") if level.kind == "server" else ():
            yield replace(_pass_location(directive, level, names, variables), protocol=STREAM)


def _passes(directive: Directive) -> bool:
    return directive.block is None and (directive.name in PROTOCOLS or third_party.is_pass(directive))


def _may_pass(level: Level, found: Model) -> bool:
    """Return whether a pass directive counts at a level: in a location, or at the top of a snippet for one.

    proxy_pass directly in server {} belongs to stream {}.
    """
    if level.kind == "http":
        return found.configuration.is_fragment and not level.all("server")
    return level.kind != "server"


def _pass_location(
    directive: Directive, level: Level, names: UpstreamNames, variables: Definitions
) -> PassLocation:
    scope = Scope(variables, level)
    return PassLocation(
        directive=directive,
        level=level,
        protocol=PROTOCOLS.get(directive.name, directive.name.removesuffix("_pass")),
        targets=names.resolve(scope.values(target_text(directive))),
        http=http_version(level),
        connection=connection_fields(level, scope),
        keep_conn=level.inherited("fastcgi_keep_conn"),
        scope=scope,
    )
