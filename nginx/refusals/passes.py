"""Check pass directives: their targets, and the settings of their requests.

Source: ngx_http_proxy_pass() and ngx_http_upstream_add() at release-1.22.1 and release-1.31.3, measured with
`nginx -t`.
"""

import re
from collections.abc import Iterator

from nginx import versions
from nginx.inheritance import Level
from nginx.model import Model, PassLocation
from nginx.refusals.addresses import address_complaint
from nginx.refusals.refusal import Refusal
from nginx.targets import TargetKind, may_name_upstream
from nginx.templates import has_placeholder
from nginx.tree import Directive

_SCHEMES = {
    "http": ("http://", "https://"),
    "grpc": ("grpc://", "grpcs://"),
    "uwsgi": ("uwsgi://", "suwsgi://"),
}
_CHECKED = frozenset({"http", "fastcgi", "grpc", "uwsgi", "scgi", "memcached"})
"""The protocols of nginx's own passes whose targets are checked."""
_NO_URI = (
    '"proxy_pass" cannot have URI part in location given by regular expression, or inside named location,'
    ' or inside "if" statement, or inside "limit_except" block'
)
_HTTP_VERSIONS = frozenset({"1.0", "1.1", "2"})
_RETRIED = "error timeout invalid_header non_idempotent off http_500 http_503 http_403 http_404 http_429"
_CASES = {
    "proxy_next_upstream": f"{_RETRIED} http_502 http_504",
    "grpc_next_upstream": f"{_RETRIED} http_502 http_504",
    "fastcgi_next_upstream": _RETRIED,
    "scgi_next_upstream": _RETRIED,
    "uwsgi_next_upstream": _RETRIED,
    "memcached_next_upstream": "error timeout invalid_response not_found off",
}


def find(model: Model) -> Iterator[Refusal]:
    """Yield the pass directives, and the lines about their requests, that nginx refuses."""
    for each in model.passes:
        yield from _target(each, model)
    for level in model.levels:
        yield from _http_version(level)
        for name, cases in _CASES.items():
            for line in level.all(name):
                wrong = (
                    []
                    if has_placeholder(line.args)
                    else [arg for arg in line.args if arg not in cases.split()]
                )
                if wrong:
                    yield Refusal(line.place, f'invalid value "{wrong[0]}"')


def _http_version(level: Level) -> Iterator[Refusal]:
    for line in level.all("proxy_http_version"):
        if len(line.args) == 1 and line.args[0] not in _HTTP_VERSIONS and not has_placeholder(line.args):
            known = f"write 1.0, 1.1 or (since {versions.HTTP2_UPSTREAM}) 2"
            yield Refusal(line.place, f'invalid value "{line.args[0]}"', known)


def _target(each: PassLocation, model: Model) -> Iterator[Refusal]:
    line = each.directive
    if len(line.args) != 1 or "$" in line.args[0] or each.protocol not in _CHECKED:
        return  # variables are evaluated for each request
    schemes = _SCHEMES.get(each.protocol, ())
    target = line.args[0]
    scheme = next((scheme for scheme in schemes if target.lower().startswith(scheme)), None)
    if each.protocol == "http" and scheme is None:
        yield Refusal(line.place, "invalid URL prefix", "begin it with http:// or https://", (), (each,))
        return
    address = target[len(scheme or "") :]
    if each.protocol == "http":
        address, uri = _split_uri(address)
        if uri and _is_without_uri(each.level):
            yield Refusal(line.place, _NO_URI, f"write it without {uri}", (), (each,))
    is_elsewhere = any(
        target.kind is TargetKind.UNKNOWN
        or (model.configuration.is_fragment and may_name_upstream(target.host))
        for target in each.targets
    )
    needs_port = each.protocol != "http" and not each.upstreams() and not is_elsewhere
    complaint = address_complaint(address, needs_port=needs_port)
    if complaint is not None:
        yield Refusal(line.place, f'{complaint} in upstream "{address}"', "", (), (each,))


def _split_uri(rest: str) -> tuple[str, str]:
    """Return the address and the URI part of what stands behind the scheme of `proxy_pass`."""
    if rest.lower().startswith("unix:"):
        path, colon, uri = rest[len("unix:") :].partition(":")
        return rest[: len("unix:") + len(path)], uri if colon else ""
    found = re.search(r"[/?]", rest)
    return (rest, "") if found is None else (rest[: found.start()], rest[found.start() :])


def _is_without_uri(level: Level) -> bool:
    """Return whether the URI of a pass cannot replace a part of the request's: no prefix was matched."""
    if level.kind in {"if", "limit_except"}:
        return True
    return level.kind == "location" and level.opener is not None and _is_regex_or_named(level.opener)


def _is_regex_or_named(location: Directive) -> bool:
    first = location.args[0] if location.args else ""
    return first.startswith(("~", "@"))
