"""Check upstream {} blocks: their servers, and the size of their pools.

Source: ngx_http_upstream_server() and ngx_http_upstream_init_round_robin() at release-1.22.1 and
release-1.31.3, measured with `nginx -t`.
"""

import re
from collections.abc import Iterable, Iterator

from nginx import versions
from nginx.model import PassLocation
from nginx.refusals.addresses import address_complaint
from nginx.refusals.refusal import Refusal
from nginx.targets import STREAM
from nginx.templates import has_placeholder
from nginx.tree import Directive
from nginx.upstreams import Upstream, is_balancer
from nginx.versions import Version

_NUMBER = r"\d{1,19}"
_TIME = r"(?:\d+(?:ms|[smhdwMy]))*\d*"
_PARAMETER = re.compile(
    rf"weight=0*[1-9]\d{{0,18}}|max_conns={_NUMBER}|max_fails={_NUMBER}|fail_timeout=(?=\d){_TIME}"
    # Of newer ones, of NGINX Plus, and of relatives of nginx.
    r"|backup|down|resolve|drain|service=.+|route=.+|slow_start=(?=\d).+|id=.+|sid=.+|srun_id=.+",
    re.ASCII,
)
_WITHOUT_BACKUP = frozenset({"hash", "ip_hash", "random"})
_ALSO_SERVERS = re.compile(
    r"include|state|.*by_lua.*|.*_?server.*|upsync|jdomain|consul|dynamic.*|use_server"
)


def find(upstreams: list[Upstream], version: Version) -> Iterator[Refusal]:
    """Yield the upstream {} blocks, and the lines in them, that a version of nginx refuses."""
    for each in upstreams:
        yield from _servers(each)
        yield from _pool(each, version)


def in_stream(passes: Iterable[PassLocation]) -> Iterator[Refusal]:
    """Yield the lines about pools in the upstream {} blocks of stream {}, which has no such directives."""
    blocks = {id(used): used for each in passes if each.protocol == STREAM for used in each.upstreams()}
    for line in (line for block in blocks.values() for line in block.directive.block or ()):
        if line.name.startswith("keepalive"):
            reason = f'"{line.name}" directive is not allowed here'
            yield Refusal(line.place, reason, "remove it: stream {} has no pools")


def duplicates(blocks: list[Directive]) -> Iterator[Refusal]:
    """Yield the upstream {} blocks whose name another one has; names are compared without case."""
    seen: dict[str, Directive] = {}
    for block in blocks:
        name = block.args[0].lower() if block.args else ""
        if name in seen:
            yield Refusal(block.place, f'duplicate upstream "{block.args[0]}"', "", (seen[name],))
        seen.setdefault(name, block)


def _servers(upstream: Upstream) -> Iterator[Refusal]:
    servers, methods = upstream.servers, _methods_before(upstream)
    for line in servers:
        if not line.args or has_placeholder(line.args):
            continue
        complaint = address_complaint(line.args[0], needs_port=False)
        if complaint is not None:
            yield Refusal(line.place, f'{complaint} in upstream "{line.args[0]}"')
        yield from parameters(line)
        method = methods.get(id(line))
        if "backup" in line.args and method is not None:
            reason = 'balancing method does not support parameter "backup"'
            yield Refusal(line.place, reason, f"remove it: {method} knows no backup servers")
    if not servers and all(
        _ALSO_SERVERS.fullmatch(each.name) is None for each in upstream.directive.block or ()
    ):
        yield Refusal(upstream.directive.place, "no servers are inside upstream", "add a server")
    elif servers and all("backup" in line.args for line in servers) and not upstream.missing:
        yield Refusal(
            upstream.directive.place,
            f'no servers in upstream "{upstream.name}"',
            "write one without backup",
        )


def parameters(server: Directive) -> Iterator[Refusal]:
    """Yield the first parameter of a `server` line that no nginx knows, unless it is filled in later."""
    for parameter in server.args[1:]:
        if not has_placeholder([parameter]) and _PARAMETER.fullmatch(parameter) is None:
            yield Refusal(server.place, f'invalid parameter "{parameter}"')
            return


def _methods_before(upstream: Upstream) -> dict[int, str]:
    """Return the methods without backup servers by the identity of the `server` lines behind them."""
    found, method = dict[int, str](), ""
    for line in upstream.directive.block or ():
        if is_balancer(line):
            method = line.name if line.name in _WITHOUT_BACKUP else ""
        elif line.name == "server" and method:
            found[id(line)] = method
    return found


def _pool(upstream: Upstream, version: Version) -> Iterator[Refusal]:
    line = upstream.keepalive
    if line is None or not line.args or has_placeholder(line.args):
        return
    size, *parameters = line.args
    least = 0 if version >= versions.POOL_BY_DEFAULT else 1
    if line.number is None or line.number < least:
        yield Refusal(line.place, f'invalid value "{size}" in "keepalive" directive')
    elif parameters and parameters != ["local"]:
        yield Refusal(line.place, f'invalid parameter "{parameters[0]}"')
