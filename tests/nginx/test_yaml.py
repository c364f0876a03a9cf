"""Configurations inside YAML: read where they stand, and never written outside of their own text."""

from __future__ import annotations

import base64
import json
import textwrap
from contextlib import suppress

import pytest

from nginx.check import check
from nginx.errors import NginxConfigError
from nginx.fix.repair import fix
from nginx.loading.yaml_scalars import is_yaml
from tests import command_line

OLD = "1.22.1"
KEPT = 'proxy_http_version 1.1; proxy_set_header Connection "";'
SITE = f"""\
upstream api {{ server 192.0.2.1:8080; keepalive 16; }}
server {{
  location / {{
    {KEPT}
    proxy_pass http://api;
  }}
}}
"""
MAIN = "events {}\nhttp {\n  include /etc/nginx/conf.d/*.conf;\n}\n"


def block(key: str, text: str, style: str = "|", indent: int = 2) -> str:
    return f"{' ' * indent}{key}: {style}\n" + textwrap.indent(text, " " * (indent + 2))


def config_map(*blocks: str, kind: str = "ConfigMap") -> str:
    return f"apiVersion: v1\nkind: {kind}\nmetadata:\n  name: web\ndata:\n" + "".join(blocks)


def judged(text: str) -> list[tuple[int, str]]:
    """Return the line and the answer of each location."""
    found = check("web.yaml", [OLD], text=text).locations
    assert {each.place.file for each in found} <= {"web.yaml"}
    return [(each.place.line, each.verdicts[OLD].answer) for each in found]


def line_of(text: str, word: str) -> int:
    (line,) = [number for number, each in enumerate(text.split("\n"), 1) if word in each]
    return line


@pytest.mark.parametrize(
    "style", ["|", "|-", "|+", ">", ">-", "|2", "|2-", "| # comment", "&anchor |", "!!str |"]
)
def test_a_block_scalar_is_read_where_it_stands(style: str) -> None:
    text = config_map(block("default.conf", SITE, style))
    assert judged(text) == [(line_of(text, "proxy_pass"), "reused")]


@pytest.mark.parametrize(
    "text",
    [
        config_map(block("nginx.conf", MAIN), block("default.conf", SITE)),
        config_map(block("default.conf", SITE), block("nginx.conf", MAIN)),
        config_map(block("nginx.conf", MAIN)) + "---\n" + config_map(block("default.conf", SITE)),
        config_map(
            block("pools.conf", SITE.split("server {\n", maxsplit=1)[0]),
            block("site.conf", "server {\n" + SITE.split("server {\n")[1]),
        ),
        config_map(block("'nginx.conf'", MAIN), block('"default.conf"', SITE)),
        "kind: List\nitems:\n"
        + textwrap.indent("- " + config_map(block("x.conf", SITE)).replace("\n", "\n  "), ""),
        "services:\n  web:\n    image: nginx\nconfigs:\n  site:\n" + block("content", SITE, indent=4),
        "- hosts: all\n  tasks:\n    - copy:\n" + block("content", SITE, indent=8),
        "serverBlock: |-\n" + textwrap.indent(SITE, "  "),
        "args:\n  - |\n" + textwrap.indent(SITE, "    "),
        "# a comment\n---\n" + config_map(block("default.conf", SITE)).replace("\n", "\r\n"),
        config_map(block("a.conf", SITE), block("start.sh", "#!/bin/sh\nnginx -g 'daemon off;'\n")),
        config_map(block("a.conf", SITE), block("page.html", "<style>server {}</style>\n")),
    ],
)
def test_the_files_of_a_config_map_belong_together(text: str) -> None:
    assert judged(text) == [(line_of(text, "proxy_pass"), "reused")]


def test_statements_of_helm_stand_where_they_like() -> None:
    lines = SITE.split("\n")
    text = "{{- if .Values.enabled }}\n" + config_map(
        block("default.conf", lines[0] + "\n"),
        "{{- range .Values.sites }}\n",
        textwrap.indent("\n".join(lines[1:]), "    "),
        "\n{{- end }}\n",
        "  other: {{ .Values.other | quote }}\n",
    )
    text += "{{- end }}\n"
    assert judged(text) == [(line_of(text, "proxy_pass"), "reused")]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def quoted(text: str, key: str = "default.conf") -> str:
    return f"  {key}: {json.dumps(text)}\n"


@pytest.mark.parametrize(
    "text",
    [
        config_map(quoted(SITE)),
        json.dumps({"kind": "ConfigMap", "data": {"default.conf": SITE}}, indent=2),
        config_map(f"  default.conf: {encoded(SITE)}\n", kind="Secret"),
    ],
)
def test_a_quoted_or_encoded_text_is_judged_and_not_written(text: str) -> None:
    line = next(number for number, each in enumerate(text.split("\n"), 1) if "default.conf" in each)
    assert judged(text) == [(line, "reused")]
    broken = SITE.replace("keepalive 16; ", "")
    other = text.replace(json.dumps(SITE), json.dumps(broken))
    other = other.replace(
        base64.b64encode(SITE.encode()).decode(), base64.b64encode(broken.encode()).decode()
    )
    assert judged(other) == [(line, "not reused")]
    repair = fix("web.yaml", [OLD], text=other)
    assert repair.diff() == ""


def test_a_quoted_text_of_several_lines() -> None:
    text = config_map(
        '  a.conf: "server {\\n\n    location / { proxy_pass\\\n    \\ http://192.0.2.1; }\\n\n    }"\n'
    )
    assert judged(text) == [(7, "not reused")]


@pytest.mark.parametrize(
    ("broken", "style"),
    [
        (SITE.replace("keepalive 16; ", ""), "|"),
        (SITE.replace(KEPT, ""), "|-"),
        (SITE.replace("http://api", "http://192.0.2.9:8080"), ">"),
    ],
)
def test_a_repair_stays_inside_the_text(broken: str, style: str) -> None:
    text = config_map(block("default.conf", broken, style), block("other", "kept as it is\n"))
    repair = fix("web.yaml", [OLD], text=text)
    after = repair.after["web.yaml"]
    assert judged(after) == [(line_of(after, "proxy_pass"), "reused")]
    head, _, tail = text.partition(textwrap.indent(broken, "    "))
    assert after.startswith(head)
    assert after.endswith(tail)
    inside = after.removeprefix(head).removesuffix(tail)
    assert all(line.startswith("    ") or not line for line in inside.split("\n"))


def test_what_a_folded_comment_swallows_is_not_read() -> None:
    folded = "server {\n# all behind it is a comment\nlocation / { proxy_pass http://a; }\n}\n"
    text = config_map(block("a.conf", folded, ">"), block("b.conf", SITE))
    assert [line for line, _ in judged(text)] == [line_of(text, "proxy_pass http://api")]
    # Breaks before and behind lines that stand further right are left alone (YAML 1.2, 8.1.3).
    kept = folded.replace("location", "  location").replace("# all", "  # all")
    text = config_map(block("a.conf", kept, ">"))
    assert [line for line, _ in judged(text)] == [line_of(text, "proxy_pass http://a;")]


@pytest.mark.parametrize(
    "text",
    [
        config_map(block("settings.ini", "a=b\n")),
        config_map("  upstream-keepalive-connections: '320'\n"),
        "apiVersion: v1\nkind: Service\nspec:\n  ports: [80]\n",
        "data:\n  default.conf: |-\n{{ .Values.config | indent 4 }}\n",
        '{"kind": "Pod"}\n',
    ],
)
def test_yaml_without_a_configuration_is_no_success(text: str) -> None:
    with pytest.raises(NginxConfigError, match="without a configuration of nginx"):
        check("web.yaml", [OLD], text=text)
    done = command_line.run("check", "-", stdin=text)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("apiVersion: v1\n", True),
        ("# x\n---\na:\n  - b\n", True),
        ("- hosts: all\n", True),
        ("{{- if .Values.x }}\nkind: ConfigMap\n", True),
        ('{\n  "kind": "List"', True),
        ("server {\n", False),
        ("# key: value\nuser nginx;\n", False),
        ("{{ if x }}\nserver { }\n", False),
        ("map $a $b { default: c; }\n", False),
        ("", False),
    ],
)
def test_yaml_begins_with_a_key(text: str, expected: bool) -> None:
    assert is_yaml(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "a:\n" + '  b: "server {\n' * 300,
        'a:\n  b: "server {\n' + "    x\n" * 3000,
        "a:\n" + "  b: |\n    server { }\n" * 300,
    ],
)
def test_much_yaml_is_read_to_its_end(text: str) -> None:
    found = []
    with suppress(NginxConfigError):  # it holds none
        found = judged(text)
    assert found == []
