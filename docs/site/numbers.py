"""Numbers that somebody typed: those of a page that are no mark, no constant, no version and no status."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from docs.site import figures, markdown

_PROGRAMS = (
    "bench|make|python3?|pip|pipx|uvx|dask|nginx|ss|curl|git|ssh|openssl|sbatch|kubectl|helm"
    "|cp|eval|export|sed"
)
_COMMAND = re.compile(rf"(?:[A-Z_]+=\S+ )*(?:sudo )?(?:{_PROGRAMS})\b")
_PRODUCTS = (
    "QUIC|Nacos|Python|Linux|nginx|HAProxy|Envoy|Caddy|Debian|RocketMQ|version|since|before|from|format"
)
_STATUSES = "101|200|204|206|301|302|304|400|401|403|404|408|413|421|429|431|500|501|502|503|504|505"
_IS_NO_FIGURE = re.compile(
    rf"""
    `[^`\n]+`                                    # code, and what a reader types
    | \]\([^)\s]+\)                              # the target of a link
    | ^\#+\ .*$                                  # a heading
    | ^\s*\d+\.\ (?=\S)                          # the number of a step
    | \d+(?:\.\d+){{3}}(?::\d+)?                 # an address
    | \b\d+\.\d+\.\d+\b                          # a version
    | \b(?:HTTP/|TLS\ |TLSv)[\d.]*\d(?:(?:,|\ and|\ or)\ \d\.\d)*
    | \b(?:{_PRODUCTS})\ \(?\d+\.\d+\b
    | (?<![\d.,])20\d\d\b(?![,.]\d)              # a year
    | \bRFC\ \d+
    | \bsection\ [\d.]*\d
    | (?<![\d.,])(?:{_STATUSES})s?\b(?![,.]\d)
    """,
    flags=re.VERBOSE | re.MULTILINE,
)
_NUMBER = re.compile(
    r"(?<![\w.,/-])\d+(?:,\d{3})*(?:\.\d+)?"
    r"(?:\s?(?:ms|us|µs|s|seconds?|minutes?|%|x|GiB|MiB|KiB|B|times|ports)(?!\w))?"
)
_IS_SMALL = re.compile(r"\d")


def read_constants() -> dict[str, str]:
    """Return the texts that need no mark, each with its source."""
    text = Path(__file__).with_name("constants.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def find_typed(text: str, constants: dict[str, str]) -> list[str]:
    """Return the numbers of a Markdown text that nothing holds; single digits without a unit are words."""
    text = figures.remove(text)
    printed = "".join(block.text for block in markdown.find_blocks(text) if not _is_input(block))
    text = f"{markdown.remove_blocks(text)}\n{printed}"
    for constant in sorted(constants, key=len, reverse=True):
        text = re.sub(rf"(?<![\w.,]){re.escape(constant)}(?![\w])", "", text)
    text = _IS_NO_FIGURE.sub(" ", text)
    return [found for found in _NUMBER.findall(text) if not _IS_SMALL.fullmatch(found.strip())]


def _is_input(block: markdown.Block) -> bool:
    """Return whether a block is typed or copied by a reader; what a command printed was measured."""
    commands = any(_COMMAND.match(line.strip()) for line in block.text.splitlines())
    return block.language in markdown.INPUTS or commands
