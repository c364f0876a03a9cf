"""The command line of a backend."""

import pytest

from backends.http.behaviours import ResponseSize
from backends.http.options import parse_options
from backends.role.closing import Close, CloseKind
from backends.role.errors import MisuseError


def test_defaults() -> None:
    options = parse_options(["--listen", "127.0.0.1:0"])
    assert options.listen == (("127.0.0.1", 0),)
    assert (options.kind, options.workers, options.control) == ("raw", 1, False)
    assert (options.delay, options.response_size, options.failures) == (None, ResponseSize(2, 2), {})
    assert (options.idle_timeout_s, options.requests_per_connection) == (0.0, 0)
    assert options.close == Close(CloseKind.AT_ONCE)


def test_addresses() -> None:
    options = parse_options(["--listen", "localhost:80", "--listen", "[::1]:9000"])
    assert options.listen == (("localhost", 80), ("::1", 9000))


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ([], "--listen"),
        (["--listen", "9000"], "--listen '9000'"),
        (["--listen", "a:70000"], "--listen 'a:70000'"),
        (["--listen", "a:"], "--listen 'a:'"),
        (["--listen", "a:1", "--kind", "django"], "django"),
        (["--listen", "a:1", "--workers", "0"], "--workers '0'"),
        (["--listen", "a:1", "--workers", "two"], "--workers 'two'"),
        (["--listen", "a:1", "--idle-timeout", "-1"], "--idle-timeout"),
        (["--listen", "a:1", "--idle-timeout", "nan"], "--idle-timeout 'nan'"),
        (["--listen", "a:1", "--idle-timeout", "."], "--idle-timeout '.'"),
        (["--listen", "a:1", "--requests-per-connection", "1.5"], "--requests-per-connection '1.5'"),
        (["--listen", "a:1", "--fail", "often"], "'often'"),
        (["--listen", "a:1", "--unknown"], "--unknown"),
    ],
)
def test_misuse_is_named(flags: list[str], named: str) -> None:
    with pytest.raises(MisuseError) as refused:
        parse_options(flags)
    assert named in str(refused.value)
