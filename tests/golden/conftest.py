"""`pytest tests/golden --update-golden` writes what the commands print now as what they shall print."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flag."""
    parser.addoption("--update-golden", action="store_true", help="Rewrite tests/golden/outputs.")
