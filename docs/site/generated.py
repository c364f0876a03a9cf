"""The pages that come from the code as a whole; each is committed, and a test holds it to the code."""

from __future__ import annotations

from docs.site.reference import commands, exit_codes, plan, result_format, rules

_PAGES = {
    "reference/commands.md": commands.build,
    "reference/plan.md": plan.build,
    "reference/result-format.md": result_format.build,
    "reference/rules.md": rules.build,
    "reference/exit-codes.md": exit_codes.build,
}


def build_pages() -> dict[str, str]:
    """Return the text of each page by its path below `docs/`."""
    return {path: build() for path, build in _PAGES.items()}
