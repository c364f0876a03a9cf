"""What check says of files that are not here, of templates and of targets that are no upstream {}."""

from __future__ import annotations

from pathlib import Path

import pytest

from nginx.check import check


@pytest.mark.parametrize(("include", "is_read"), [("../near.inc", True), ("../../far.inc", False)])
def test_an_include_does_not_lead_out_of_the_tree(include: str, is_read: bool, tmp_path: Path) -> None:
    """What lies above the folder around the main file's may be anybody's, and its lines would be quoted."""
    folder = tmp_path / "repository/nginx"
    folder.mkdir(parents=True)
    (tmp_path / "far.inc").write_text("secret of another")
    (tmp_path / "repository/near.inc").write_text("server { location / { proxy_pass http://a.example; } }")
    (folder / "nginx.conf").write_text(f"events {{}} http {{ include {include}; }}")
    found = check(folder / "nginx.conf", ["1.31.4"])
    assert bool(found.locations) == is_read
    assert ("NK053" in {finding.rule for finding in found.findings}) != is_read
    assert "secret" not in str(found.to_json())


def test_a_target_that_a_template_fills_in_may_name_an_upstream() -> None:
    text = "server { location / { proxy_pass http://{{ app }}; } }"
    found = check("x", ["1.31.4"], text=text)
    assert [each.verdicts["1.31.4"].answer for each in found.locations] == ["depends"]
    template = next(finding for finding in found.findings if finding.rule == "NX002")
    assert str(template.severity) == "low"  # a remark is not shown by default


@pytest.mark.parametrize(
    ("lines", "fix"),
    [
        (
            "proxy_pass https://a.example/x;",
            "declare `upstream NAME { server a.example:443; keepalive 32; }`, write NAME for the address "
            "and add `proxy_set_header Host a.example;`; see `bench fix`",
        ),
        (
            "proxy_pass http://10.0.0.1:81; proxy_set_header Host $host;",
            "declare `upstream NAME { server 10.0.0.1:81; keepalive 32; }`, write NAME for the address; "
            "see `bench fix`",
        ),
        (
            "fastcgi_pass unix:/run/php.sock;",
            "pool it only if you know how many it has; say so with --backend-max-connections, and "
            "`bench fix` sizes it: an open FastCGI connection occupies a process of the application "
            "(PHP-FPM, spawn-fcgi)",
        ),
    ],
)
def test_the_fix_of_a_literal_target_is_lines_to_paste(lines: str, fix: str) -> None:
    found = check("x", ["1.22.1"], text=f"server {{ location / {{ {lines} }} }}")
    assert [finding.fix for finding in found.findings if finding.rule == "NK006"] == [fix]


@pytest.mark.parametrize(("method", "behind"), [("", ""), ("least_conn;", " behind least_conn")])
def test_a_pool_is_put_behind_a_balancing_method_where_there_is_one(method: str, behind: str) -> None:
    upstream = f"upstream app {{ {method} server 10.0.0.1:8080; }}"
    found = check("x", ["1.22.1"], text=f"{upstream} server {{ location / {{ proxy_pass http://app; }} }}")
    (fix,) = [finding.fix for finding in found.findings if finding.rule == "NK001"]
    assert fix == f"add `keepalive 32;` (idle connections per worker){behind}"


def test_a_missing_file_on_which_a_verdict_depends_is_no_mere_remark() -> None:
    text = (
        "upstream app { server a; keepalive 4; }\n"
        "server {\n location / { include headers.conf; proxy_pass http://app; }\n include other.conf;\n}"
    )
    found = check("x", ["1.31.4"], text=text)
    severities = {
        finding.place.line: str(finding.severity) for finding in found.findings if finding.rule == "NK053"
    }
    assert severities == {3: "low", 4: "info"}
