"""Check the addresses of servers as nginx parses them.

Source: ngx_parse_url() in src/core/ngx_inet.c at release-1.22.1, measured with `nginx -t`.
"""

import re

_UNIX = "unix:"
_PORT = re.compile(r"0*[1-9][0-9]{0,4}")
_LARGEST_PORT = 65535


def address_complaint(address: str, *, needs_port: bool) -> str | None:
    """Return what nginx has against HOST, HOST:PORT, [IPV6]:PORT or unix:PATH; None if it accepts it.

    Whether a name can be resolved is not looked at.
    """
    if address.lower().startswith(_UNIX):
        return None if address[len(_UNIX) :] else "no path in the unix domain socket"
    if "/" in address or "?" in address:
        return "invalid host"
    if address.startswith("["):
        host, closed, rest = address.partition("]")
        if not closed:
            return "invalid host"
        return _port_complaint(host, rest.removeprefix(":") if rest.startswith(":") else None, needs_port)
    host, colon, port = address.partition(":")
    return _port_complaint(host, port if colon else None, needs_port)


def _port_complaint(host: str, port: str | None, needs_port: bool) -> str | None:
    if port is not None and (_PORT.fullmatch(port) is None or int(port) > _LARGEST_PORT):
        return "invalid port"
    if not host:
        return "no host"
    return "no port" if needs_port and port is None else None
