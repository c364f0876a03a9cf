"""What other programs read: SARIF, the annotations of GitHub Actions, and Markdown."""

from __future__ import annotations

import re
from dataclasses import astuple

import pytest

from nginx.check import check
from nginx.finding import Severity
from nginx.fix.repair import fix
from nginx.report import documentation, formats, markdown
from nginx.rules import CATALOGUE

TEXT = "server { location / {\n    proxy_pass http://10.0.0.1:8080;\n} }\n"


def test_sarif() -> None:
    log = formats.sarif(check("a,b c.conf", ["1.22.1"], text=TEXT), "1.2.3")
    (run,) = log["runs"]
    assert log["version"] == "2.1.0"
    driver = run["tool"]["driver"]
    ids = [rule["id"] for rule in driver["rules"]]
    assert ids == ["NK002", "NK003", "NK006"]
    assert driver["semanticVersion"] == "1.2.3"
    assert {result["ruleId"] for result in run["results"]} == set(ids)
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        where = result["locations"][0]["physicalLocation"]
        region = {"startLine": 2, "startColumn": 5, "endLine": 2, "endColumn": 37}
        assert where == {"artifactLocation": {"uri": "a,b%20c.conf"}, "region": region}
        assert result["level"] == "error"


def test_each_rule_of_sarif_has_what_code_scanning_shows() -> None:
    """As docs.github.com, "SARIF support for code scanning", has it."""
    for rule in CATALOGUE.values():
        found = formats._sarif_rule(rule, "1.2.3")
        assert found["help"]["text"]
        assert found["shortDescription"]["text"]
        assert found["fullDescription"]["text"]
        assert re.fullmatch(r"https://nginx\.org/en/docs/[a-z_./]+\.html#?\w*", found["helpUri"]), rule.id
        assert found["defaultConfiguration"]["level"] in {"note", "warning", "error"}
        assert found["properties"]["version"] == "1.2.3"
        assert found["properties"]["problem.severity"] in {"error", "warning", "recommendation"}


def test_each_rule_has_one_page_of_what_nginx_documents() -> None:
    listed = [rule for rules in documentation._ABOUT.values() for rule in rules.split()]
    assert sorted(listed) == sorted(CATALOGUE)


def test_a_rule_without_a_page_is_no_rule_about_pools() -> None:
    with pytest.raises(KeyError, match="NK999"):
        documentation.help_uri("NK999")


SEVERAL = """\
upstream app { server 10.0.0.1; } upstream other { server 10.0.0.2; }
server {
    location / { proxy_pass http://app; } location /o { proxy_pass
        http://other; }
    location /b { proxy_pass http://10.0.0.3; }
}
"""


def test_columns_are_those_of_the_directive() -> None:
    result = check("x", ["1.22.1"], text=SEVERAL)
    places = {
        (each.rule, each.message.partition(": ")[0]): (each.place.line, astuple(span))
        for each, span in result.spans.items()
    }
    assert places["NK001", 'upstream "app" has no keepalive'] == (1, (1, 1, 13))
    assert places["NK006", "http://10.0.0.3 is no upstream {}"] == (5, (19, 5, 46))


@pytest.mark.parametrize("moved", ["# a comment\n" + TEXT, TEXT.replace("location", "\n\nlocation")])
def test_fingerprints_survive_lines_that_move(moved: str) -> None:
    def prints(text: str) -> list[str]:
        (run,) = formats.sarif(check("x", ["1.22.1"], text=text), "1")["runs"]
        return [each["partialFingerprints"]["primaryLocationLineHash"] for each in run["results"]]

    assert prints(TEXT) == prints(moved)
    assert len(set(prints(SEVERAL))) == len(prints(SEVERAL))


def test_github() -> None:
    first, *lines = formats.github(check("a,b.conf", ["1.22.1"], text=TEXT)).splitlines()
    assert first == "judged for nginx 1.22.1"
    assert len(lines) == 3
    where = "::error file=a%2Cb.conf,line=2,col=5,endLine=2,endColumn=37,title=NK00"
    assert all(line.startswith(where) for line in lines)
    assert lines[-1].endswith("(nginx 1.22.1)")


ODD = """\
server {
    server_name a|b.example;
    location ~ ^/(a|b)$ { proxy_pass http://10.0.0.1; proxy_set_header Connection "<b>close"; }
    location / { proxy_pass http://app; }
}
upstream app { server 10.0.0.1; keepalive 4; }
"""


def test_a_table_has_a_cell_for_each_column() -> None:
    text = markdown.markdown(check("x", ["1.22.1", "1.31.4"], text=ODD))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    widths = [len(re.findall(r"(?<!\\)\|", row)) - 1 for row in rows]
    assert set(widths) == {5}
    assert "<b>" not in re.sub(r"`[^`]*`", "", text)


def test_what_is_broken_comes_first() -> None:
    result = check("x", ["1.22.1", "1.31.4"], text=ODD)
    text = markdown.markdown(result)
    assert text.startswith("### Upstream connections of 2 locations, by the worst version: 2 not reused\n")
    assert "**Fix:** add `proxy_http_version 1.1;`" in text


def test_the_edit_is_a_diff_and_each_rule_has_a_link() -> None:
    odd = ODD.replace("location / {", "location / { # ```\n")
    text = markdown.markdown(check("x", ["1.22.1"], text=odd), repair=fix("x", ["1.22.1"], text=odd))
    _, fence, diff = text.partition("````diff\n")
    assert fence
    shown = diff.partition("\n````\n")[0].splitlines()
    assert [line for line in shown if line.startswith("+")][1:4] == [
        "+upstream backend_10_0_0_1 {",
        "+    server 10.0.0.1;",
        "+    keepalive 32;",
    ]
    assert "[NK002](https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_http_version)" in text


def test_what_is_accepted_and_what_is_below_are_told_apart() -> None:
    text = "server { location / {\nproxy_pass http://10.0.0.1; # bench: ignore NK006 a | reason\n} }"
    found = markdown.markdown(check("x", ["1.22.1"], text=text), Severity.ERROR)
    assert "| `x:2` | a comment | a \\| reason |" in found
    assert "2 more below severity error" in found


def test_a_long_table_is_cut() -> None:
    many = "".join(f"location /{number} {{ proxy_pass http://10.0.0.1; }}" for number in range(300))
    text = markdown.markdown(check("x", ["1.31.4"], text=f"server {{ {many} }}"))
    assert "100 more rows are left out." in text
    assert len(text) < 500_000
