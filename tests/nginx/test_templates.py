"""Templates: what is left when their statements are taken out, and what a verdict says of it."""

from __future__ import annotations

import pytest

from nginx import templates
from nginx.check import check

OLD = "1.22.1"
POOL = "upstream app { server 10.0.0.1:8080; keepalive 8; }\n"
KEPT = 'proxy_http_version 1.1; proxy_set_header Connection "";'


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
        ("{{- /* a } comment\n of two lines */}}a;", "\na;"),
        ("{# a\ncomment #}a;", "\na;"),
        ("{{#x}}a;{{/x}}", "a;"),
        ("{{ whole_directives }}\na;", "\na;"),
        ("listen\n{{ port }}\n;", "listen\n${template}\n;"),
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
    assert {finding.rule for finding in found.findings} == {"NX002", "NK030"}


def test_capitals_are_of_the_environment() -> None:
    text = f"events {{}}\nhttp {{ server {{ location / {{ proxy_pass http://$APP_HOST; {KEPT} }} }} }}"
    rules = {finding.rule for finding in check("x", [OLD], text=text).findings}
    assert "NX002" in rules
    assert "NX001" not in rules
