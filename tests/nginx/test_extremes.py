"""Configurations that no nginx would run, and that must not end the check either."""

from pathlib import Path

import pytest

from nginx import check

CONF = (
    "http {{ upstream u {{ server 127.0.0.1:1; keepalive 4; {} }}"
    " server {{ location / {{ proxy_pass http://u; }} {} }} }}"
)


@pytest.mark.parametrize(
    "line",
    [
        "include conf.d/a**b;",
        "include **/nothing;",
        f"include {'a' * 5000};",
        f"keepalive {'9' * 5000};",
        f"keepalive_timeout {'9' * 400};",
        f"keepalive_time {'9' * 18}y{'9' * 18}y;",
    ],
    ids=lambda line: line[:24],
)
def test_a_line_beyond_all_bounds_is_read(line: str, tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text(CONF.format(line, line))
    assert check.check(str(tmp_path / "nginx.conf"), ["1.22.1"]).locations


def test_files_that_include_each_other_on_and_on_are_cut_off(tmp_path: Path) -> None:
    for number in range(500):
        (tmp_path / f"{number}.conf").write_text(f"include {number + 1}.conf;\n")
    found = check.check(str(tmp_path / "0.conf"), ["1.22.1"])
    assert any("include each other more than 64 deep" in finding.message for finding in found.findings)
