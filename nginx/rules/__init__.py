"""The catalogue of rules: one rule, one small function; importing this room enters all of them."""

from nginx.rules import (
    client,
    groups,
    network,
    pool,
    protocols,
    reading,
    requests,
    responses,
    sharing,
    sizing,
    spoken,
    streams,
    upgrades,
)
from nginx.rules.rule import CATALOGUE, Case, Hit, Rule, Settings

__all__ = [
    "CATALOGUE",
    "Case",
    "Hit",
    "Rule",
    "Settings",
    "client",
    "groups",
    "network",
    "pool",
    "protocols",
    "reading",
    "requests",
    "responses",
    "sharing",
    "sizing",
    "spoken",
    "streams",
    "upgrades",
]
