"""Write what the documents take from the code: `python -m docs.site`, or `make reference`."""

from __future__ import annotations

from docs.site import pages


def main() -> None:
    """Write the list of pages in `docs/index.md` anew."""
    index = pages.DOCS / "index.md"
    index.write_text(pages.list_pages(index.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
