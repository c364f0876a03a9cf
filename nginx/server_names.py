"""Name a server {} as clients address it: by its first name and its ports."""

import re
from collections.abc import Iterator

from nginx.inheritance import Level

_DEFAULT_PORT = "80"
_PORT = re.compile(r"(?:\[[^\]]*\]|[^:]*):(\d+)")


def server_name(level: Level) -> str:
    """Return the name and the ports of the server {} around a level: `shop.example:80,443`.

    Empty outside a server {}, and for one that says neither.
    """
    server = level.enclosing("server")
    if server is None or not (server.all("listen") or server.all("server_name")):
        return ""
    names = [name for line in server.all("server_name") for name in line.args if name not in {"", "_"}]
    ports = list(dict.fromkeys(_ports(server))) or [_DEFAULT_PORT]
    return f"{names[0] if names else '*'}:{','.join(ports)}"


def _ports(server: Level) -> Iterator[str]:
    for line in server.all("listen"):
        address = line.args[0]
        if address.startswith("unix:") or address.isdigit():
            yield address
        else:
            match = _PORT.fullmatch(address)
            yield match[1] if match else _DEFAULT_PORT
