"""What the examples of rules have in common: an upstream {} with a pool, and the lines that use it."""

from __future__ import annotations

POOL = "upstream app { server 10.0.0.1:8080; keepalive 64; }\n"
SAID = 'proxy_http_version 1.1; proxy_set_header Connection "";'
"""What a server has to be told, so that it leaves a connection open."""
PASS = "proxy_pass http://app;"
KEPT = f"{PASS} {SAID}"
GOOD = (
    POOL
    + """
    server {
        location / {
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
    }
"""
)


def location(*lines: str) -> str:
    """Returns the pool and a location with these lines."""
    inner = "\n        ".join(line for line in lines if line)
    return f"{POOL}server {{\n    location / {{\n        {inner}\n    }}\n}}"


def server(lines: str) -> str:
    """Returns an upstream {} of these lines, and a location that uses it as it should."""
    return f"upstream app {{ {lines} }}\nserver {{\n    location / {{ {KEPT} }}\n}}"
