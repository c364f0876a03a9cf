"""Configurations made up from parts, the same for each seed: pools, balancing, headers, maps, protocols."""

from __future__ import annotations

import random

VARIANTS = 60
UPSTREAMS = ("app", "api")
PROTOCOLS = ("http",) * 6 + ("fastcgi", "grpc", "uwsgi", "memcached")
BALANCERS = ("",) * 4 + (
    "least_conn;",
    "ip_hash;",
    "hash $request_uri;",
    "hash $arg_k consistent;",
    "random;",
)
SIZES = (None, None, 1, 2, 4, 16, 32, 64)
LIMITS = (
    "",
    "",
    "keepalive_requests 1;",
    "keepalive_requests 100;",
    "keepalive_timeout 30s;",
    "zone ZONE 64k;",
)
TARGETS = ("app", "app", "api", "$to", "192.0.2.9:8080")
HTTP_VERSIONS = ("", "", "proxy_http_version 1.1;", "proxy_http_version 1.1;", "proxy_http_version 1.0;")
CONNECTIONS = (
    "",
    'proxy_set_header Connection "";',
    'proxy_set_header Connection "";',
    "proxy_set_header Connection $connection_upgrade;",
    "proxy_set_header Connection close;",
    "proxy_set_header Connection keep-alive;",
    "proxy_set_header Host $host;",
)
MAPS = ("default upgrade; '' close;", "default upgrade; '' '';", "websocket upgrade;")


def configuration(seed: int) -> str:
    """Return the configuration of a seed."""
    chance = random.Random(seed)
    upstreams = "".join(_upstream(chance, name) for name in UPSTREAMS)
    locations = "".join(_location(chance, number) for number in range(chance.randint(1, 4)))
    return (
        f"worker_processes {chance.choice((1, 1, 2))};\nevents {{}}\nhttp {{\n"
        f"map $http_upgrade $connection_upgrade {{ {chance.choice(MAPS)} }}\n"
        f"map $arg_t $to {{ default {chance.choice(UPSTREAMS)}; b {chance.choice(UPSTREAMS)}; }}\n"
        f"{upstreams}server {{\nlisten 8000;\n{chance.choice(CONNECTIONS)}\n{locations}}}\n}}\n"
    )


def _upstream(chance: random.Random, name: str) -> str:
    number = chance.choice((1, 1, 2, 3, 8))
    servers = " ".join(f"server 192.0.2.{each}:8080;" for each in range(1, number + 1))
    size, balancer = chance.choice(SIZES), chance.choice(BALANCERS)
    pool = "" if size is None else f"keepalive {size}; {chance.choice(LIMITS).replace('ZONE', name)}"
    lines = [balancer, servers, pool] if chance.random() < 0.85 else [servers, pool, balancer]
    return f"upstream {name} {{ {' '.join(lines)} }}\n"


def _location(chance: random.Random, number: int) -> str:
    path, protocol = f"/{'abcd'[number]}/", chance.choice(PROTOCOLS)
    target = chance.choice(TARGETS)
    if protocol == "http":
        lines = f"proxy_pass http://{target}; {chance.choice(HTTP_VERSIONS)} {chance.choice(CONNECTIONS)}"
    elif protocol == "fastcgi":
        lines = f"fastcgi_pass {target}; {chance.choice(('', 'fastcgi_keep_conn on;'))}"
    elif protocol == "memcached":
        lines = f"set $memcached_key $uri; memcached_pass {target};"
    else:
        lines = f"{protocol}_pass {target};"
    return f"location {path} {{ {lines} }}\n"
