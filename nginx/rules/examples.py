"""Hold the parts that examples of rules share: an upstream {} with a pool, and the lines that use it."""

from __future__ import annotations

POOL = "upstream app { server 10.0.0.1:8080; keepalive 64; }\n"
KEEPALIVE_LINES = 'proxy_http_version 1.1; proxy_set_header Connection "";'
"""What nginx has to send, so that a server leaves the connection open."""
PASS = "proxy_pass http://app;"
KEPT = f"{PASS} {KEEPALIVE_LINES}"
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
    """Return the pool and a location with these lines."""
    inner = "\n        ".join(line for line in lines if line)
    return f"{POOL}server {{\n    location / {{\n        {inner}\n    }}\n}}"


def server(lines: str) -> str:
    """Return an upstream {} of these lines, and a location that uses it as it should."""
    return f"upstream app {{ {lines} }}\nserver {{\n    location / {{ {KEPT} }}\n}}"
