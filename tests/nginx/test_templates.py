"""Templates: what is left when their statements are taken out, and what a verdict says of it."""

from __future__ import annotations

import pytest

from nginx import templates
from nginx.check import check
from nginx.fix.repair import fix
from nginx.rules import CheckSettings

OLD = "1.22.1"
POOL = "upstream app { server 10.0.0.1:8080; keepalive 8; }\n"
KEPT = 'proxy_http_version 1.1; proxy_set_header Connection "";'
PASS = f"server {{ location / {{ proxy_pass http://app; {KEPT} }} }}"


LINES = f'include "{templates.LINES}";'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a {{ x }};", "a ${template};"),
        ("a {{- x -}};", "a ${template};"),
        ("a <%= @x %>;", "a ${template};"),
        ("a <%-x.y%>;", "a ${template};"),
        ("a <%- if x -%>;", "a ;"),
        ("{% if x %}\na;\n{% endif %}", "\na;\n"),
        ("{{ if .X }}\na;\n{{ end }}", "\na;\n"),
        ("{{- range $i, $x := .Xs }}\na {{ $x }};\n{{- end }}", "\na ${template};\n"),
        ("{{ $x := .Y }} a;", " a;"),
        ("{ {{ lines }} proxy_pass http://a; }", f"{{ {LINES} proxy_pass http://a; }}"),
        ('a;\n{{ include "b" . }}\nc;', f"a;\n{LINES}\nc;"),
        ("a;\n{% include 'b' %}\nc;", f"a;\n{LINES}\nc;"),
        ("a;\n<%= @b %>\nc;", f"a;\n{LINES}\nc;"),
        ("{ {{ name }} Connection x; }", "{ ${template} Connection x; }"),
        ("a {{ x }} proxy_y z;", "a ${template} proxy_y z;"),
        ("{{- /* a } comment\n of two lines */}}a;", "\na;"),
        ("{# a\ncomment #}a;", "\na;"),
        ("{{#x}}a;{{/x}}", "a;"),
        ("{{ whole_directives }}\na;", "\na;"),
        ("listen\n{{ port }}\n;", "listen\n${template}\n;"),
        ("a {{{ x }}};", "a ${template};"),
        ("%{ if x ~}\na;\n%{ endif ~}", "\na;\n"),
        ("%{ for x in y }a ${x};%{ endfor }", "a ${x};"),
        ("[% IF x %]\na [% x %];\n[% END %]", "\na ${template};\n"),
        ("a [[ .x ]];", "a ${template};"),
        ("a ^[[:alpha:]]+$;", "a ^[[:alpha:]]+$;"),
        ('a {{ "{" }};', "a ${template};"),
        ('a "{{ x }}" {{ "}}" }};', 'a "${template}" ${template};'),
        ("a <%- x %>;", "a ${template};"),
        ('a {{ keyOrDefault "x/y" "16" }};', "a ${template};"),
    ],
)
def test_expressions_become_variables_and_statements_go(text: str, expected: str) -> None:
    assert templates.renderings(text)[0] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{% if x %}a{% else %}b{% endif %}c", "ac"),
        ("{% if x %}a{% elif y %}b\n{% else %}c{% endif %}d", "a\nd"),
        ("{{ if x }}a{{ else }}{{ range y }}b{{ end }}c{{ end }}d", "ad"),
        ("<% if x %>a<% else %><% y.each do |z| %>b<% end %>c<% end %>d", "ad"),
        ("{% for x in y %}{% if x %}a{% else %}b{% endif %}{% endfor %}c", "ac"),
    ],
)
def test_the_other_reading_has_only_first_branches(text: str, expected: str) -> None:
    assert templates.renderings(text)[1] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a;\nb {{ x }};", ("Jinja, Helm or Go", 2)),
        ("{% if x %}", ("Jinja", 1)),
        ("<%= x %>", ("ERB or EJS", 1)),
        ("# {{ x }}\na;", None),
        ("a { b; }", None),
    ],
)
def test_language(text: str, expected: tuple[str, int] | None) -> None:
    assert templates.language(text) == expected


def test_where_both_branches_make_no_configuration_the_first_is_read() -> None:
    text = POOL + (
        "server {\n{% if x %}\nlocation /a {\n{% else %}\nlocation /b {\n{% endif %}\n"
        f"proxy_pass http://app; {KEPT} }} }}"
    )
    (location,) = check("x", [OLD], text=text).locations
    assert (location.context, location.verdicts[OLD].answer) == ("location /a", "reused")


def test_what_only_the_rendered_text_can_get_wrong_is_not_reported() -> None:
    text = POOL + (
        "server { location / {\n{{ if x }}\nproxy_pass http://app;\n{{ else }}\nproxy_pass https://app;\n"
        f"{{{{ end }}}}\n{KEPT} }} }}"
    )
    found = check("x", [OLD], text=text)
    assert len(found.locations) == 2
    assert {finding.rule for finding in found.findings} == {"NX002"}


def test_capitals_are_of_the_environment() -> None:
    text = f"events {{}}\nhttp {{ server {{ location / {{ proxy_pass http://$APP_HOST; {KEPT} }} }} }}"
    rules = {finding.rule for finding in check("x", [OLD], text=text).findings}
    assert "NX002" in rules
    assert "NX001" not in rules


SIZES = [
    "{{ .Values.n }}",
    "{{ n | default(32) }}",
    "{{{ n }}}",
    '{{ key "nginx/n" }}',
    "<%= @n %>",
    "<%- n %>",
    "[[ .n ]]",
    "[% n %]",
    "${toString n}",
    "{% if n %}{{ n }}{% else %}16{% endif %}",
    "${N}",
    "${n:-32}",
    "$N",
    "@N@",
    "__N__",
    "%%N%%",
]


@pytest.mark.parametrize("size", SIZES)
def test_a_size_that_is_filled_in_later_does_not_switch_a_pool_off(size: str) -> None:
    text = (
        POOL.replace("8; }", f"{size}; }}") + f"server {{ location / {{ proxy_pass http://app; {KEPT} }} }}"
    )
    found = check("x", [OLD, "1.31.4"], text=text)
    (location,) = found.locations
    # Before 1.29.7 nginx refuses 0, so that each size is one that reuses.
    assert {version: each.answer for version, each in location.verdicts.items()} == {
        OLD: "reused",
        "1.31.4": "depends",
    }
    assert {finding.rule for finding in found.findings} == {"NX002"}
    repair = fix("x", [OLD, "1.31.4"], text=text)
    assert repair.diff() == ""


@pytest.mark.parametrize(
    ("servers", "in_flight", "from_on"), [("server a;", 8, 8), ("server a; server b; server c;", 1, 3)]
)
def test_it_has_to_be_large_enough(servers: str, in_flight: int, from_on: int) -> None:
    text = f"upstream app {{ {servers} keepalive ${{N}}; }}\n{PASS}"
    settings = CheckSettings(workers=1, concurrency=in_flight)
    (location,) = check("x", [OLD], text=text, settings=settings).locations
    assert location.verdicts[OLD].answer == "depends"
    assert f"reused from {from_on} on" in location.verdicts[OLD].reason


@pytest.mark.parametrize(
    "line",
    ["proxy_pass http://app; proxy_http_version {{ v }};", "fastcgi_pass app; fastcgi_keep_conn {{ v }};"],
)
def test_other_settings_that_are_filled_in_later_decide(line: str) -> None:
    text = POOL + f'server {{ location / {{ {line} proxy_set_header Connection ""; }} }}'
    assert [each.verdicts[OLD].answer for each in check("x", [OLD], text=text).locations] == ["depends"]


def test_a_variable_of_nginx_is_no_size() -> None:
    text = (
        POOL.replace("8;", "$n;") + f"server {{ location / {{ set $n 8; proxy_pass http://app; {KEPT} }} }}"
    )
    assert "NX001" in {finding.rule for finding in check("x", [OLD], text=text).findings}


@pytest.mark.parametrize("word", ["ON", "On", "on"])
def test_flags_are_read_in_any_case(word: str) -> None:
    text = POOL + f"server {{ location / {{ fastcgi_pass app; fastcgi_keep_conn {word}; }} }}"
    assert [each.verdicts[OLD].answer for each in check("x", [OLD], text=text).locations] == ["reused"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{% if x %}a{% endif %}b", ["ab", "b"]),
        ("{% if x %}a{% else %}b{% endif %}c", ["ac", "bc"]),
        ("{{ if x }}a{{ else if y }}b{{ else }}c{{ end }}d", ["ad", "cd", "bd"]),
        ("{% if x %}a{% elif y %}b{% endif %}c", ["ac", "c", "bc"]),
        ("{% if x %}a{% elif y %}b{% elif z %}c{% endif %}{% if x %}d{% endif %}", ["ad", "", "bd", "cd"]),
        ("<% unless x %>a<% else %>b<% end %>", ["a", "b"]),
        ("{{ range x }}a{{ if y }}b{{ end }}{{ else }}c{{ end }}d", ["abd", "acd"]),
        ("{% for x in y %}a{% endfor %}", []),
        ("a {{ x }};", []),
    ],
)
def test_the_cases_of_conditions(text: str, expected: list[str]) -> None:
    assert templates.conditional_renderings(text) == expected


@pytest.mark.parametrize(
    ("upstream", "location", "old", "new"),
    [
        ("server a; {{ if .K }}keepalive 8;{{ end }}", KEPT, "depends", "reused"),
        ("server a; <% unless @k %>keepalive 8;<% end %>", KEPT, "depends", "reused"),
        ("server a; {% if k %}keepalive 8;{% elif l %}keepalive 9;{% endif %}", KEPT, "depends", "reused"),
        ("server a; {% if k %}keepalive 8;{% else %}keepalive 9;{% endif %}", KEPT, "reused", "reused"),
        ("server a; keepalive 8;", "{{ if .K }}" + KEPT + "{{ end }}", "depends", "reused"),
        ("server a; keepalive 8;", KEPT + "{% if h %}add_header a b;{% endif %}", "reused", "reused"),
        ("server a; keepalive 1; {% if b %}server b;{% endif %}", KEPT, "depends", "depends"),
        (
            "server a; keepalive 8;",
            'proxy_http_version 1.1; proxy_set_header Connection {% if c %}close{% else %}""{% endif %};',
            "depends",
            "depends",
        ),
        ("server a; {% if k %}keepalive 8;{% endif %}", "", "not reused", "reused"),
    ],
)
def test_what_conditions_decide(upstream: str, location: str, old: str, new: str) -> None:
    text = f"upstream app {{ {upstream} }}\n{PASS.replace(KEPT, location)}\n"
    found = check("a.conf", [OLD, "1.31.4"], text=text)
    (each,) = found.locations
    assert [each.verdicts[version].answer for version in (OLD, "1.31.4")] == [old, new]
    assert ("conditions" in each.verdicts[OLD].reason) == (old == "depends")


def test_a_condition_around_a_whole_upstream_is_also_one_around_its_use() -> None:
    text = "{% if x %}" + POOL + "{% endif %}\n" + PASS
    (each,) = check("a.conf", [OLD], text=text).locations
    assert each.verdicts[OLD].answer == "reused"


@pytest.mark.parametrize(
    ("between", "is_possible"),
    [("{% else %}", False), ("{% endif %}\n{% if d %}", True)],
)
def test_lines_of_different_branches_are_never_in_force_together(between: str, is_possible: bool) -> None:
    cleared, closing = (f"proxy_set_header Connection {value};" for value in ('""', "close"))
    lines = f"proxy_http_version 1.1;\n{{% if c %}}\n{cleared}\n{between}\n{closing}\n{{% endif %}}\n"
    found = check("a.conf", [OLD], text=f"{POOL}\n{PASS.replace(KEPT, lines)}\n")
    assert ("NK012" in {finding.rule for finding in found.findings}) is is_possible
