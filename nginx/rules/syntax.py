"""Rules about the text itself: what nginx would refuse, and what a verdict cannot see.

Their ids begin with NX: they stand beside the catalogue of connection reuse, not in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from nginx import versions
from nginx.finding import Severity
from nginx.known_directives import Known
from nginx.model import PassLocation
from nginx.rules.rule import Case, Hit, Settings, rule, said_at
from nginx.tree import Directive

_GOOD = """
    upstream app { server 10.0.0.1:8080; keepalive 64; }
    server { location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; } }
"""


@rule(
    "NK053",
    "include-dependence",
    Severity.INFO,
    bad="include conf.d/missing.conf;\nserver { location / { proxy_pass http://app; } }",
    good=_GOOD,
    unproven="what a file holds that is not here, nobody can run",
)
def missing_includes(case: Case) -> Iterator[Hit]:
    """An include leads to no file here; where it could change a verdict, the verdict depends on it.

    --root DIR says where absolute paths lie, --with FILE hands a file over.
    """
    for include in case.model.configuration.missing:
        waiting = tuple(each for each in case.model.passes if _decides(case, include, each))
        name = include.args[0]
        text = f"{name} is not here and was not read"
        if waiting:
            text += f"; {waiting[0].context} depends on it"
        hands = f"hand it over with --with PATH/{PurePosixPath(name).name} or --root DIR"
        yield Hit(include.place, text, hands, Severity.LOW if waiting else None, passes=waiting)


def _decides(case: Case, include: Directive, each: PassLocation) -> bool:
    """Tells whether the verdict on a location hangs on an include that is missing."""
    if case.verdict(each).answer != "depends":
        return False
    holes = [each.http.missing, each.connection.missing, case.model.names.missing]
    return any(hole is include for hole in (*holes, *(used.missing for used in each.upstreams())))


@rule(
    "NX001",
    "refused-by-nginx",
    Severity.ERROR,
    bad="server { location / { proxy_pass http://app; }",
    good=_GOOD,
)
def refused(case: Case) -> Iterator[Hit]:
    """nginx would not start with this text; what can be read of it is judged all the same."""
    rendered_later = {place.file for place, _ in case.model.configuration.templates}
    for problem in case.model.configuration.problems:
        if problem.place.file not in rendered_later:
            yield Hit(problem.place, f"[emerg] {problem.reason}")
    if rendered_later:
        return  # both branches of a condition are read here, nginx will read one
    yield from _duplicate_upstreams(case)
    for each in case.model.passes:
        yield from _named_with_port(case, each.directive, [t.host for t in each.targets if t.has_port])
        if case.model.variables.is_whole:
            for name in sorted(each.scope.undefined):
                if not _FROM_ENVIRONMENT.fullmatch(name):
                    yield Hit(each.directive.place, f'[emerg] unknown "{name}" variable', passes=(each,))
    yield from _repeated(case)


# envsubst fills in variables of the environment, which are written in capitals.
_FROM_ENVIRONMENT = re.compile(r"[A-Z][A-Z0-9_]*")


def _duplicate_upstreams(case: Case) -> Iterator[Hit]:
    seen: dict[str, Directive] = {}
    for block in case.model.http.all("upstream"):
        name = block.args[0].lower() if block.args else ""
        if name in seen:
            text = f'[emerg] duplicate upstream "{block.args[0]}"'
            yield Hit(block.place, text, related=(said_at(seen[name]),))
        seen.setdefault(name, block)


def _named_with_port(case: Case, line: Directive, hosts: list[str]) -> Iterator[Hit]:
    for host in hosts:
        block = case.model.names.upstreams.get(host.lower())
        if block is not None and "$" not in line.args[0]:
            yield Hit(
                line.place,
                f'[emerg] upstream "{block.name}" may not have a port',
                "name the upstream {} without a port",
                related=(said_at(block.directive),),
            )


_SINGLE = ("proxy_http_version", "fastcgi_keep_conn", "keepalive_timeout", "keepalive_requests", "proxy_pass")


def _repeated(case: Case) -> Iterator[Hit]:
    """Yields directives that nginx accepts once per block."""
    for level in case.model.levels:
        for name in _SINGLE:
            for line in level.all(name)[1:]:
                yield Hit(
                    line.place,
                    f'[emerg] "{name}" directive is duplicate',
                    related=(said_at(level.all(name)[0]),),
                )


@rule(
    "NX002",
    "template",
    Severity.LOW,
    bad="server { location / { proxy_pass http://{{ backend }}; } }",
    good=_GOOD,
    unproven="nginx reads what a template renders to, and that is not here",
)
def template(case: Case) -> Iterator[Hit]:
    """The text is a template (Jinja, Helm, ERB, envsubst): nginx reads what it renders to.

    Expressions count as unknown values, and both branches of a condition are read where that makes a
    whole configuration. What nginx would refuse is not reported then. Check the rendered text for a
    verdict that holds.
    """
    for place, language in case.model.configuration.templates:
        yield Hit(place, f"a {language} template: what it renders to decides", "check the rendered text")
    for each in case.model.passes:
        names = [f"${name}" for name in sorted(each.scope.undefined) if _FROM_ENVIRONMENT.fullmatch(name)]
        if names:
            text = f"{', '.join(names)} looks like an envsubst template: what is filled in decides"
            yield Hit(each.directive.place, text, "check the rendered text", passes=(each,))


_EXAMPLE = Known(
    "1.22.1", (b"upstream\0server\0keepalive\0location\0proxy_set_header\0proxy_http_version\0proxy_pass\0",)
)


@rule(
    "NX003",
    "unknown-directive",
    Severity.MEDIUM,
    bad="server { location / { proxy_passs http://10.0.0.1; } }",
    good=_GOOD,
    shown_with=Settings(known=_EXAMPLE),
)
def unknown_directives(case: Case) -> Iterator[Hit]:
    """The nginx that is installed does not know a directive, and would not start.

    Told by the names in its program and in the modules beside it. Where the configuration is for another
    nginx, with other modules, this is no fault.
    """
    known = case.settings.known
    if known is None or versions.parse(known.version) != case.version:
        return
    if case.model.configuration.templates:
        return  # what is left of a template may be no directive
    configuration, seen = case.model.configuration, set()
    for line in known.unknown((*configuration.main, *configuration.http)):
        if line.name not in seen:
            seen.add(line.name)
            text = f'[emerg] unknown directive "{line.name}" for the nginx {known.version} that is installed'
            yield Hit(line.place, text, "correct its name, or load the module that has it")
