"""The catalogue of rules: one rule, one small function; importing this room enters all of them."""

from nginx.rules import pool, protocols, requests
from nginx.rules.rule import CATALOGUE, Case, Hit, Rule, Settings

__all__ = ["CATALOGUE", "Case", "Hit", "Rule", "Settings", "pool", "protocols", "requests"]
