"""Check what `server NAME resolve` needs beside it.

Source: ngx_http_upstream_init_round_robin() at release-1.31.3, measured with `nginx -t`.
"""

from collections.abc import Iterator

from nginx.model import Model
from nginx.tree import Directive
from nginx.upstreams import Upstream


def unresolvable(model: Model) -> Iterator[tuple[Upstream, Directive, str, str]]:
    """Yield the upstreams whose servers cannot be resolved at run time: their line, why, and what to do."""
    for upstream in model.upstreams:
        line = next((line for line in upstream.servers if "resolve" in line.args), None)
        if line is None:
            continue
        if upstream.directive.child("zone") is None:
            text = f'resolving at run time requires upstream "{upstream.name}" to be in shared memory'
            yield upstream, line, text, f"add `zone {upstream.name} 64k;`"
        elif _lacks_resolver(model, upstream):
            text = "no resolver is defined to resolve it at run time"
            yield upstream, line, text, "add `resolver ADDRESS;` in http {}"


def _lacks_resolver(model: Model, upstream: Upstream) -> bool:
    """Return whether no resolver is in force for an upstream; a fragment leaves that open."""
    given = upstream.directive.child("resolver") or model.http.last("resolver")
    return given is None and not model.configuration.is_fragment
