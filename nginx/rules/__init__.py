"""The rules of `bench check`, one function each; a module per subject.

`docs/development/add-a-rule.md` says how one is added.
"""

from importlib import import_module
from pkgutil import iter_modules

from nginx.rules.rule import CATALOGUE, CheckSettings, Hit, Rule, RuleContext

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["CATALOGUE", "CheckSettings", "Hit", "Rule", "RuleContext"]
