"""Labs are opened in processes of their own, by ourselves and by an ordinary user."""

from __future__ import annotations

from tests.driving import drive, user

__all__ = ["drive", "user"]
