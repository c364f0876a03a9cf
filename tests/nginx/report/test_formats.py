"""What other programs read: SARIF and the annotations of GitHub Actions."""

from __future__ import annotations

from nginx.check import check
from nginx.report import formats

TEXT = "server { location / {\n    proxy_pass http://10.0.0.1:8080;\n} }\n"


def test_sarif() -> None:
    log = formats.sarif(check("a,b.conf", ["1.22.1"], text=TEXT))
    (run,) = log["runs"]
    assert log["version"] == "2.1.0"
    ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert ids == ["NK002", "NK003", "NK006"]
    assert {result["ruleId"] for result in run["results"]} == set(ids)
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        where = result["locations"][0]["physicalLocation"]
        assert where == {"artifactLocation": {"uri": "a,b.conf"}, "region": {"startLine": 2}}
        assert result["level"] == "error"


def test_github() -> None:
    first, *lines = formats.github(check("a,b.conf", ["1.22.1"], text=TEXT)).splitlines()
    assert first == "judged for nginx 1.22.1"
    assert len(lines) == 3
    assert all(line.startswith("::error file=a%2Cb.conf,line=2,title=NK00") for line in lines)
    assert lines[-1].endswith("(nginx 1.22.1)")
