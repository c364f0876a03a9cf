"""Write what the documents take from the code and from results: `make reference`, `make figures`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from docs.site import figures, generated, pages


def main() -> None:
    """Write anew what the argument names."""
    parser = argparse.ArgumentParser(prog="python -m docs.site", description=__doc__)
    parser.add_argument("what", choices=("reference", "figures"))
    if parser.parse_args().what == "figures":
        for file in figures.find_files():
            _rewrite(file, figures.update)
    else:
        for path, text in generated.build_pages().items():
            (pages.DOCS / path).write_text(text, encoding="utf-8")
        _rewrite(pages.DOCS / "index.md", pages.list_pages)


def _rewrite(file: Path, change: Callable[[str], str]) -> None:
    text = file.read_text(encoding="utf-8")
    changed = change(text)
    if changed != text:
        file.write_text(changed, encoding="utf-8")


if __name__ == "__main__":
    main()
