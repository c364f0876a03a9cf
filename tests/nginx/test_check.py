"""`check` on all kinds of input: folders, dumps, fragments, templates, and rubbish."""

from __future__ import annotations

from pathlib import Path

import pytest

from nginx import versions
from nginx.check import check
from nginx.errors import NginxConfigError, VersionError
from nginx.finding import Severity

KEPT = 'proxy_http_version 1.1; proxy_set_header Connection "";'
POOL = "upstream app { server 10.0.0.1:8080; keepalive 8; }\n"
PASS = f"server {{ location / {{ proxy_pass http://app; {KEPT} }} }}\n"
OLD, NEW = "1.22.1", "1.31.4"


def answers(text: str, version: str = OLD) -> list[str]:
    return [each.verdicts[version].answer for each in check("x", [version], text=text).locations]


def rules(text: str, version: str = OLD) -> set[str]:
    return {finding.rule for finding in check("x", [version], text=text).findings}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_check_is_the_short_question(tmp_path: Path) -> None:
    path = write(tmp_path, {"x.conf": PASS}) / "x.conf"
    findings = check(path, [OLD]).findings
    assert [finding.rule for finding in findings][:1] == ["NK006"]
    assert findings[0].severity is Severity.HIGH
    assert (findings[0].place.file, findings[0].place.line) == (str(path), 1)


def test_json_has_the_agreed_shape() -> None:
    answer = check("x", [OLD, NEW], text=POOL + PASS.replace(KEPT, "")).to_json()
    (location,) = answer["locations"]
    assert {key: location[key] for key in ("file", "line", "context", "target")} == {
        "file": "x",
        "line": 2,
        "context": "location /",
        "target": "http://app",
    }
    old, new = location["verdicts"][OLD], location["verdicts"][NEW]
    assert old["reason"] == "HTTP/1.0 (the default); Connection: close is sent, the default"
    assert {key: value for key, value in old.items() if key != "reason"} == {
        "verdict": "not reused",
        "closes_first": "race",
        "pool": {"upstream": "app", "idle": 8, "local": False, "implicit": False},
        "http_version": "1.0",
        "connection_sent": ["close"],
        "share": None,
        "depends_on": [],
        "rules": ["NK002", "NK003"],
        "accepted": False,
    }
    assert (new["verdict"], new["closes_first"], new["http_version"], new["connection_sent"]) == (
        "reused",
        None,
        "1.1",
        [],
    )
    assert answer["findings"][0]["rule"] == "NK002"


# Where the text comes from


def test_includes_of_a_main_file_start_from_its_folder(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        {
            "nginx.conf": "events {}\nhttp { include mime.types; include conf.d/*.conf; }",
            "conf.d/app.conf": POOL + "server { location / { proxy_pass http://app; include proxy.inc; } }",
            "proxy.inc": KEPT,
        },
    )
    (location,) = check(folder / "nginx.conf", [OLD]).locations
    assert location.verdicts[OLD].answer == "reused"
    assert location.place.file == str(folder / "conf.d/app.conf")


def test_a_folder_is_its_main_files_and_what_they_leave(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        {
            "nginx.conf": "events {}\nhttp { include /etc/nginx/conf.d/*.conf; }",
            "conf.d/app.conf": POOL + PASS,
            "other/alone.conf": "server { location /alone { proxy_pass http://app; } }",
        },
    )
    found = {each.context: each.verdicts[OLD].answer for each in check(folder, [OLD]).locations}
    assert found == {"location /": "reused", "location /alone": "not reused"}


@pytest.mark.parametrize(
    "name",
    [
        "site.conf.j2",
        "templates/default.conf.template",
        "nginx.conf.erb",
        "sites-available/app",
        "a.conf.tmpl",
    ],
)
def test_a_folder_is_what_tools_call_configurations(name: str, tmp_path: Path) -> None:
    folder = write(tmp_path, {name: POOL + PASS, "README.md": PASS, "app.conf.bak": PASS, "app.py": PASS})
    assert [each.place.file for each in check(folder, [OLD]).locations] == [str(folder / name)]


def test_a_folder_is_also_what_its_yaml_holds(tmp_path: Path) -> None:
    text = "kind: ConfigMap\ndata:\n  default.conf: |\n    " + (POOL + PASS).replace("\n", "\n    ")
    folder = write(tmp_path, {"k8s/web.yaml": text, "ci.yml": "jobs:\n  test: |\n    make\n", "x.yaml": "}{"})
    (location,) = check(folder, [OLD]).locations
    assert (location.place.file, location.place.line) == (str(folder / "k8s/web.yaml"), 5)


def test_a_site_that_is_enabled_by_a_link_is_one_site(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        {
            "nginx.conf": "events {}\nhttp { include sites-enabled/*; }",
            "sites-available/app": POOL + PASS,
            "sites-enabled/other": PASS.replace("location /", "location /other"),
        },
    )
    (folder / "sites-enabled/app").symlink_to("../sites-available/app")
    (folder / "sites-enabled/gone").symlink_to("../sites-available/gone")
    files = {each.context: Path(each.place.file).parent.name for each in check(folder, [OLD]).locations}
    assert files == {"location /": "sites-enabled", "location /other": "sites-enabled"}


@pytest.mark.parametrize("files", [{}, {"README.md": PASS}, {"values.yaml": "replicas: 2\n"}])
def test_a_folder_without_a_configuration_is_refused(files: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(NginxConfigError, match="holds no configuration"):
        check(write(tmp_path, files), [OLD])


def test_fragments_of_conf_d_are_read_together(tmp_path: Path) -> None:
    folder = write(tmp_path, {"conf.d/a.conf": PASS, "conf.d/upstreams.conf": POOL})
    assert [each.verdicts[OLD].answer for each in check(folder, [OLD]).locations] == ["reused"]


def test_files_that_lie_elsewhere_are_handed_over(tmp_path: Path) -> None:
    folder = write(tmp_path, {"site.conf": PASS, "elsewhere/pools.conf": POOL})
    found = check(folder / "site.conf", [OLD], extra_files=[folder / "elsewhere/pools.conf"])
    assert found.locations[0].verdicts[OLD].answer == "reused"


def test_a_main_file_that_is_handed_over_surrounds_the_fragment(tmp_path: Path) -> None:
    files = {
        "site.conf": POOL + "server { location / { proxy_pass http://app; } }",
        "elsewhere/nginx.conf": f"events {{}}\nhttp {{ {KEPT} include /etc/nginx/conf.d/site.conf; }}",
    }
    folder = write(tmp_path, files)
    found = check(folder / "site.conf", [OLD], extra_files=[folder / "elsewhere/nginx.conf"])
    assert found.locations[0].verdicts[OLD].answer == "reused"
    assert not [finding for finding in found.findings if finding.rule == "NK053"]


def test_root_says_where_absolute_paths_lie(tmp_path: Path) -> None:
    folder = write(
        tmp_path, {"a/x.conf": "include /srv/pools/app.conf;\n" + PASS, "root/srv/pools/app.conf": POOL}
    )
    found = check(folder / "a/x.conf", [OLD], root=folder / "root")
    assert found.locations[0].verdicts[OLD].answer == "reused"


def test_a_dump_holds_all_its_files() -> None:
    text = (
        "nginx: the configuration file /etc/nginx/nginx.conf syntax is ok\n"
        "# configuration file /etc/nginx/nginx.conf:\nevents {}\nhttp { include conf.d/*.conf; }\n\n"
        f"# configuration file /etc/nginx/conf.d/a.conf:\n{POOL}{PASS}\n"
    )
    (location,) = check("-", [OLD], text=text).locations
    assert location.verdicts[OLD].answer == "reused"
    assert (location.place.file, location.place.line) == ("/etc/nginx/conf.d/a.conf", 2)


# What is not there


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "include x.conf; " + PASS,
            "depends",
            id="upstream",
        ),
        pytest.param(
            f"include x.conf; server {{ location / {{ proxy_pass http://10.0.0.1; {KEPT} }} }}",
            "not reused",
            id="address",
        ),
        pytest.param(
            f"include x.conf; server {{ location / {{ proxy_pass http://app:80; {KEPT} }} }}",
            "not reused",
            id="port",
        ),
        pytest.param(
            POOL + "server { location / { proxy_pass http://app; include x.conf; } }", "depends", id="headers"
        ),
        pytest.param(
            POOL + "server { include x.conf; " + PASS.removeprefix("server {"), "reused", id="all set"
        ),
        pytest.param(
            POOL
            + "server { include x.conf; location / { proxy_pass http://app; proxy_set_header Host x; } }",
            "not reused",
            id="default close is certain",
        ),
        pytest.param("upstream app { server a; include x.conf; }" + PASS, "depends", id="pool"),
        pytest.param("include *.conf;" + PASS, "not reused", id="wildcards may match nothing"),
        pytest.param(
            POOL + PASS + "include mime.types; include /etc/nginx/proxy_params;", "reused", id="stock"
        ),
    ],
)
def test_a_missing_include_matters_where_it_could_change_the_verdict(text: str, expected: str) -> None:
    assert answers(text) == [expected]


def test_the_missing_file_is_named() -> None:
    found = check("x", [OLD], text=POOL + "server { location / { proxy_pass http://app; include y.conf; } }")
    assert "y.conf" in found.locations[0].verdicts[OLD].reason


def test_an_undefined_variable_is_what_it_depends_on() -> None:
    text = POOL + PASS.replace('""', "$conn")
    assert answers(text) == ["depends"]
    assert "NX001" not in rules(text)
    assert "NX001" in rules("events {}\nhttp {" + text + "}")


def test_a_client_does_not_ask_for_an_upstream_by_its_name() -> None:
    ours = f"server {{ location / {{ proxy_pass http://$host; {KEPT} }} }}"
    assert answers(POOL + ours) == ["not reused"]
    assert answers(POOL.replace("app", "app.example") + ours) == ["depends"]


def test_a_tunnel_without_a_target_is_judged() -> None:
    assert answers("server { location / { tunnel_pass; } }", NEW) == ["not reused"]


# What nginx would refuse


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("server { location / { proxy_pass http://app; }", 'unexpected end of file, expecting "}"'),
        (PASS + "}", 'unexpected "}"'),
        (
            "server { location / { proxy_pass http://app } }",
            'directive "proxy_pass" is not terminated by ";"',
        ),
        ('server { location / { proxy_pass http://app; } add_header X "y; }', "unclosed quotation"),
        ("server { location / { proxy_pass http://app extra; } }", "invalid number of arguments"),
        (POOL + POOL + PASS, 'duplicate upstream "app"'),
        (POOL + "server { location / { proxy_pass http://app:80; } }", "may not have a port"),
    ],
)
def test_refusals_are_said_and_the_rest_is_judged(text: str, reason: str) -> None:
    found = check("x", [OLD], text=text)
    refusals = [each for each in found.findings if each.rule == "NX001"]
    assert any(reason in each.message for each in refusals)
    assert {each.severity for each in refusals} == {Severity.ERROR}
    assert len(found.locations) == 1


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "}}}}", ";;;", "{{{{", "a" * 100_000, "map $a $b { $c $d; }" * 50]
)
def test_rubbish_is_read_to_its_end(text: str) -> None:
    assert answers(text) == []


def test_circles_end() -> None:
    text = "map $a $b { '' $b; }\n" + POOL + PASS.replace('""', "$b")
    assert answers(text) == ["depends"]


def test_maps_that_multiply_end() -> None:
    chain = "".join(f"map $x $v{n} {{ default $v{n + 1}$v{n + 1}; }}\n" for n in range(60))
    assert answers(chain + "map $x $v60 { default ''; }" + POOL + PASS.replace('""', "$v0")) in (
        ["reused"],
        ["depends"],
    )


def test_an_include_of_itself_ends(tmp_path: Path) -> None:
    path = write(tmp_path, {"x.conf": "include x.conf;\n" + POOL + PASS}) / "x.conf"
    found = check(path, [OLD])
    assert len(found.locations) == 1
    assert any("includes itself" in finding.message for finding in found.findings)


def test_deep_nesting_ends() -> None:
    assert "NX001" in rules("location / {" * 5000)


@pytest.mark.parametrize("raw", [b"\x7fELF\0\0", b"a\0b"])
def test_a_binary_file_is_refused(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.conf").write_bytes(raw)
    with pytest.raises(NginxConfigError, match="NUL byte"):
        check(tmp_path / "x.conf", [OLD])


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NginxConfigError, match="cannot be read: No such file"):
        check(tmp_path / "none.conf", [OLD])


@pytest.mark.parametrize("version", ["", "1", "latest", "1.22.1.1.1", "1.-2"])
def test_a_wrong_version_is_refused(version: str) -> None:
    with pytest.raises(VersionError):
        check("x", [version], text=PASS)


@pytest.mark.parametrize(
    ("text", "version", "expected"),
    [
        (POOL + PASS.replace("1.1", "2"), "1.28", "not reused"),
        (POOL + PASS.replace("1.1", "2"), NEW, "reused"),
        (POOL.replace("8;", "8 local;") + PASS, "1.28", "not reused"),
        (POOL.replace("8;", "8 local;") + PASS, NEW, "reused"),
    ],
)
def test_a_line_that_the_version_refuses_says_nothing(text: str, version: str, expected: str) -> None:
    assert answers(text, version) == [expected]
    assert version == NEW or "NK019" in rules(text, version)


# What stands beside nginx's own language


def test_lua_blocks_are_left_alone() -> None:
    lua = "access_by_lua_block { local t = {{1}, '}'} -- }\n }"
    text = POOL + f"server {{ location / {{ {lua} proxy_pass http://app; {KEPT} }} }}"
    assert answers(text) == ["reused"]
    assert "NX002" not in rules(text)


def test_lua_may_decide_a_variable() -> None:
    lua = "access_by_lua_block { ngx.var.to = 'x' }"
    text = POOL + f"server {{ location / {{ set $to app; {lua} proxy_pass http://$to; {KEPT} }} }}"
    assert answers(text) == ["depends"]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("http://{{ host }}", "depends"),
        ("http://<%= @host %>", "depends"),
        ("http://{{ host }}:80", "not reused"),
    ],
)
def test_templates_say_so(target: str, expected: str) -> None:
    text = POOL + "{% if x %}\n" * ("{{" in target) + PASS.replace("http://app", target)
    assert answers(text) == [expected]
    assert "NX002" in rules(text)


def test_a_fragment_with_a_pass_in_its_server_is_for_stream() -> None:
    text = "upstream dns { server 10.0.0.1:53; }\nserver { listen 53 udp; proxy_pass dns; }"
    assert answers(text) == ["not reused"]


@pytest.mark.parametrize(
    "text",
    [
        "server { location / {\n    # bench: ignore NK006 checks\n    proxy_pass http://10.0.0.1;\n} }",
        "server { location / {\n    proxy_pass http://10.0.0.1;  # bench: ignore NK002, NK006 known\n} }",
    ],
)
def test_a_comment_silences_a_rule_on_its_line(text: str) -> None:
    assert "NK006" not in rules(text)
    assert "NK003" in rules(text)
    assert answers(text) == ["not reused"]


ACCEPTED = """
server {
    location / {
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_pass http://10.0.0.1;  # bench: ignore RULES legacy clients
    }
}
"""


@pytest.mark.parametrize(
    ("rules", "is_accepted"),
    [("NK006", True), ("NK048, NK006", True), ("NK048", False), ("NK002", False)],
)
def test_who_accepts_a_fault_accepts_what_follows_from_it(rules: str, *, is_accepted: bool) -> None:
    """NK048 says who closes the connections that NK006 finds not reused: there is nothing more to mend."""
    found = check("x", ["1.22.1", "1.31.4"], text=ACCEPTED.replace("RULES", rules))
    (each,) = found.locations
    assert each.fails is not is_accepted
    assert {(one.rule, one.by, one.reason) for one in each.acceptances} == (
        {(rule, "a comment", "legacy clients") for rule in rules.split(", ") if rule == "NK006"}
        | ({("NK048", "a comment", "legacy clients")} if rules == "NK048, NK006" else set())
    )
    assert {one.rule for one in found.accepted} == {rule for rule in rules.split(", ") if rule != "NK002"}


def test_one_edit_is_the_advice_of_one_rule() -> None:
    dropped = (
        "upstream app { server a; keepalive 8; }\nserver { proxy_http_version 1.1;\n"
        'proxy_set_header Connection "";\n'
        "location / { proxy_pass http://app;\nproxy_set_header Host x; } }"
    )
    literal = "server { location / { proxy_pass http://10.0.0.1; } }"
    for text, wanted, other in ((dropped, "NK005", "NK003"), (literal, "NK006", "NK048")):
        found = check("x", ["1.22.1", "1.31.4"], text=text)
        advising = {each.rule for each in found.findings if each.fix}
        assert wanted in advising
        assert other not in advising


def test_the_fourth_number_of_openresty_is_its_own() -> None:
    assert versions.parse("1.31.9.1") == versions.parse("1.31.9")
