"""Find all for which a version of nginx refuses a configuration, as far as the text shows it.

Whether names resolve, files exist and ports are free, only a run of nginx can tell (`--config-test`).
"""

import re
from collections.abc import Iterator

from nginx.model import Model
from nginx.refusals import directives, locations, passes, upstreams
from nginx.refusals.refusal import Refusal
from nginx.versions import Version

# envsubst fills in variables of the environment, which are written in capitals.
FROM_ENVIRONMENT = re.compile(r"[A-Z][A-Z0-9_]*")


def find_refusals(model: Model, version: Version) -> list[Refusal]:
    """Return what nginx refuses, in no order; comments that ignore NX001 are heeded.

    Of a template only what none of its values can change.
    """
    ignored = model.configuration.ignored
    found = list(_find(model, version))
    return [each for each in found if "NX001" not in ignored.get((each.place.file, each.place.line), ())]


def _find(model: Model, version: Version) -> Iterator[Refusal]:
    configuration = model.configuration
    rendered_later = {place.file for place, _ in configuration.templates}
    for problem in configuration.problems:
        if problem.place.file not in rendered_later:
            yield Refusal(problem.place, problem.reason)
    if rendered_later:
        # Both branches of a condition are read here, nginx will read one.
        for upstream in model.upstreams:
            for server in upstream.servers:
                yield from upstreams.parameters(server)
        return
    yield from upstreams.duplicates(model.http.all("upstream"))
    yield from upstreams.find(model.upstreams, version)
    yield from upstreams.in_stream(model.passes)
    yield from passes.find(model)
    yield from _named_with_port(model)
    yield from _unknown_variables(model)
    yield from locations.find(model.levels, version)
    yield from directives.find(configuration)


def _named_with_port(model: Model) -> Iterator[Refusal]:
    for each in model.passes_of_http:
        line = each.directive
        for host in [target.host for target in each.targets if target.has_port]:
            block = model.names.upstreams.get(host.lower())
            if block is not None and "$" not in line.args[0]:
                reason = f'upstream "{block.name}" may not have a port'
                fix = "name the upstream {} without a port"
                yield Refusal(line.place, reason, fix, (block.directive,), (each,))


def _unknown_variables(model: Model) -> Iterator[Refusal]:
    for each in model.passes_of_http if model.variables.is_whole else ():
        for name in sorted(each.scope.undefined):
            if not FROM_ENVIRONMENT.fullmatch(name):
                yield Refusal(each.directive.place, f'unknown "{name}" variable', passes=(each,))
