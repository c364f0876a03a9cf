"""What the texts of --close mean."""

import pytest

from backends.role.closing import Close, CloseKind, parse_close
from backends.role.errors import MisuseError


@pytest.mark.parametrize(
    ("text", "close"),
    [
        ("at-once", Close(CloseKind.AT_ONCE)),
        ("linger:250", Close(CloseKind.LINGER, 0.25)),
        ("never", Close(CloseKind.NEVER)),
    ],
)
def test_closes(text: str, close: Close) -> None:
    assert parse_close(text) == close


@pytest.mark.parametrize("text", ["", "later", "linger", "linger:", "linger:-1", "never:1", "at-once:"])
def test_what_makes_no_sense_is_named(text: str) -> None:
    with pytest.raises(MisuseError, match="write") as refused:
        parse_close(text)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 2
