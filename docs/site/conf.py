"""How Sphinx builds the documents: `make docs`. It reads `docs/` as it is, and nothing from the network."""

from __future__ import annotations

import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parents[2]))

from docs.site import blocks, pages

# Sphinx, MyST and Furo, of what builds a site from Markdown: Sphinx has been released steadily since 2008 and
# tells broken links and anchors by itself, MyST reads Markdown as GitHub shows it, and all are pure Python.
# MkDocs has had no release since 2024, Material for MkDocs is in maintenance, and Zensical, which its authors
# write instead, is at 0.1.
project = "bench"
author = "The bench maintainers"
extensions = ["myst_parser"]
exclude_patterns = ["site"]
myst_heading_anchors = 4
nitpicky = True
smartquotes = False  # it would make one dash of the two before an option
highlight_language = blocks.COMMANDS

_LONGEST_WORD = 16
"""Characters of code that a phone has in one line beside other columns."""

html_theme = "furo"
html_title = "bench"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["bench.css"]


def setup(app: Sphinx) -> None:
    """Have blocks of commands told from others, and fill the start page beyond what GitHub shows of it."""
    app.add_lexer(blocks.COMMANDS, blocks.CommandLexer)
    app.connect("source-read", _change)
    app.connect("doctree-read", _mark_words)


def _change(_: Sphinx, name: str, source: list[str]) -> None:
    if name == "index":
        source[0] = pages.add_picture(source[0]) + pages.format_toctrees()
    source[0] = blocks.name_outputs(source[0])


def _mark_words(_: Sphinx, document: nodes.document) -> None:
    """Mark code of one short word, such as an option, which is not broken at its hyphens."""
    for node in document.findall(nodes.literal):
        text = node.astext()
        if " " not in text and len(text) <= _LONGEST_WORD:
            node["classes"].append("word")
