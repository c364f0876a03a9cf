"""Rules about the text itself: what nginx would refuse, and what the check cannot see.

Their ids begin with NX: they stand beside the catalogue of connection reuse, not in it.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

from nginx import characters, templates, versions
from nginx.finding import Severity
from nginx.known_directives import KnownDirectives
from nginx.model import PassLocation
from nginx.refusals.find import FROM_ENVIRONMENT
from nginx.rules.rule import CheckSettings, Hit, Rule, RuleContext
from nginx.tree import Directive


@Rule(
    "NK053",
    Severity.INFO,
    bad="include conf.d/missing.conf;\nserver { location / { proxy_pass http://app; } }",
    unproven="a file that is not here cannot be run",
)
def include_dependence(ctx: RuleContext) -> Iterator[Hit]:
    """An include leads to no file here; where it could change a verdict, the verdict depends on it.

    --root DIR names the folder for absolute paths, --with FILE passes a file.
    """
    for include in ctx.model.configuration.missing:
        dependent = tuple(each for each in ctx.model.passes if _decides(ctx, include, each))
        name = include.args[0]
        if name == templates.LINES:
            text, fix = "what the template fills in here was not read", "check the rendered text"
        else:
            text = f"{name} is not here and was not read"
            fix = f"pass it with --with PATH/{PurePosixPath(name).name} or --root DIR"
        if dependent:
            text += f"; {dependent[0].context} depends on it"
        yield Hit(include.place, text, fix, Severity.LOW if dependent else None, passes=dependent)


def _decides(ctx: RuleContext, include: Directive, each: PassLocation) -> bool:
    """Return whether the verdict on a location depends on an include that is missing."""
    if ctx.verdict(each).answer != "depends":
        return False
    holes = [each.http.missing, each.connection.missing, ctx.model.names.missing]
    return any(hole is include for hole in (*holes, *(used.missing for used in each.upstreams())))


@Rule("NX001", Severity.ERROR, bad="server { location / { proxy_pass http://app; }")
def refused_by_nginx(ctx: RuleContext) -> Iterator[Hit]:
    """nginx would not start with this text; what can be read of it is judged all the same."""
    for each in ctx.refusals:
        yield Hit(each.place, f"[emerg] {each.reason}", each.fix, related=each.related, passes=each.passes)


@Rule(
    "NX002",
    Severity.LOW,
    bad="server { location / { proxy_pass http://{{ backend }}; } }",
    unproven="nginx reads what a template renders to, and that is not here",
)
def template(ctx: RuleContext) -> Iterator[Hit]:
    """The text is a template (Jinja, Helm, ERB, envsubst): nginx reads what it renders to.

    Expressions count as unknown values, and both branches of a condition are read where that makes a
    whole configuration. What nginx would refuse is not reported then. Check the rendered text for a
    verdict that holds.
    """
    for place, language in ctx.model.configuration.templates:
        article = "an" if language[0] in "AEIOU" else "a"
        text = f"{article} {language} template: what it renders to decides"
        yield Hit(place, text, "check the rendered text")
    rendered = {place.file for place, _ in ctx.model.configuration.templates}
    for upstream in ctx.model.upstreams:
        line = upstream.size_to_fill_in
        if line is not None and line.place.file not in rendered:
            yield Hit(line.place, f"`{line}`: what is filled in decides", "check the rendered text")
    for each in ctx.model.passes:
        names = [f"${name}" for name in sorted(each.scope.undefined) if FROM_ENVIRONMENT.fullmatch(name)]
        if names:
            text = f"{', '.join(names)} looks like an envsubst template: what is filled in decides"
            yield Hit(each.directive.place, text, "check the rendered text", passes=(each,))


@Rule(
    "NX004",
    Severity.ERROR,
    bad="upstream app\u00a0{ server 10.0.0.1; }\nserver { location / { proxy_pass http://app; } }",
    unproven="nginx accepts some of these words, and what each of them leads to differs",
)
def unseen_character(ctx: RuleContext) -> Iterator[Hit]:
    """A word holds a character that looks like white space or like nothing, and nginx reads it as a letter.

    Only space, tab, CR and LF separate words. No-break spaces and byte order marks come with text that was
    copied from web pages or word processors. In quotes they are left alone. In the example one follows `app`.
    """
    for word in ctx.model.configuration.odd_words:
        yield Hit(word.place, word.reason, "write an ordinary space, or nothing")


@Rule(
    "NX005",
    Severity.MEDIUM,
    bad="map $arg_a $is_a { 1 1; }\nserver { location $is_a { proxy_pass http://10.0.0.1; } }",
    unproven="no request reaches such a location, so that no traffic shows it",
)
def location_by_variable(ctx: RuleContext) -> Iterator[Hit]:
    """A location is named by a variable, which nginx evaluates since 1.31.5 only.

    Before, `location $name` is a prefix that begins with a dollar: no request has it. Inside another location
    nginx refuses it. Since 1.31.5 the location is chosen where the variable is neither empty nor 0.
    """
    if ctx.version >= versions.LOCATION_VARIABLES:
        return
    for level in ctx.model.levels:
        for line in level.all("location"):
            if len(line.args) == 1 and line.args[0].startswith("$") and not line.is_filled_in:
                text = (
                    f"no request reaches `location {line.args[0]}` before nginx {versions.LOCATION_VARIABLES}"
                )
                passes = tuple(each for each in ctx.model.passes if each.level.opener is line)
                yield Hit(line.place, text, "match the URI, or use a map", passes=passes)


_EXAMPLE = KnownDirectives(
    "1.22.1", (b"upstream\0server\0keepalive\0location\0proxy_set_header\0proxy_http_version\0proxy_pass\0",)
)


@Rule(
    "NX003",
    Severity.MEDIUM,
    bad="server { location / { proxy_passs http://10.0.0.1; } }",
    shown_with=CheckSettings(known=_EXAMPLE),
)
def unknown_directive(ctx: RuleContext) -> Iterator[Hit]:
    """The nginx that is installed does not know a directive, and would not start.

    It reads the names in the program and in its modules. Where the configuration is for another
    nginx, with other modules, this is no fault.
    """
    known = ctx.settings.known
    if known is None or versions.parse(known.version) != ctx.version:
        return
    if ctx.model.configuration.templates:
        return  # what is left of a template may be no directive
    configuration, seen = ctx.model.configuration, set()
    for line in known.unknown((*configuration.main, *configuration.http)):
        if line.name not in seen and characters.unlike_a_name(line.name) is None:
            seen.add(line.name)
            text = f'[emerg] unknown directive "{line.name}" for the nginx {known.version} that is installed'
            yield Hit(line.place, text, "correct its name, or load the module that has it")
