"""The rules of `bench check`, one function each; a module per subject.

To add a rule:

1. Choose the module of its subject (`pool.py`, `sizing.py`, ...); a new module is imported by itself.
   Take the next free number: NK is for upstream connections, CK for those of clients, NX for the text itself.
2. Write a function that has the rule's name, takes a `RuleContext` and yields a `Hit` for each place.
3. Decorate it with `@Rule(id, severity, bad=..., good=...)`: one that is flagged, one that is not.
4. Let its docstring explain: the first line is the summary, the rest answers `bench check --explain ID`.
5. Prove it by traffic in a test with `@proves(ID)` there, or say in `unproven=` why that is not possible;
   run `pytest tests/nginx/rules tests/golden` (a message lists all ids: `--update-golden` accepts it).
"""

from importlib import import_module
from pkgutil import iter_modules

from nginx.rules.rule import CATALOGUE, CheckSettings, Hit, Rule, RuleContext

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["CATALOGUE", "CheckSettings", "Hit", "Rule", "RuleContext"]
