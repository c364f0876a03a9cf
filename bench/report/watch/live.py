"""The live view of a watch on a terminal: the verdict on top, the hops below it, keys to look closer."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.coordinate import Coordinate
from textual.events import Resize
from textual.message import Message
from textual.widgets import DataTable, Input, Static

from bench.report.watch import live_table, words
from bench.report.watch.live_table import Order
from bench.report.watch.live_verdict import LineKind, condense
from bench.watch import verdict_text
from bench.watch.finding import Urgency
from bench.watch.hop_table import HopRow
from bench.watch.session import Look
from nginx.printable import printable_line

_KEYS = "q quit   s sort   / filter   p pause   v whole verdict   arrows choose a hop"
_VERDICT_LINES = 10
"""Of 24 lines: what hurts first, whole, and room for ten hops."""
_STYLES = {
    Urgency.FAILING: "bold red",
    Urgency.SLOW: "bold red",
    Urgency.SOON: "bold yellow",
    Urgency.WASTE: "bold yellow",
}
_NEARLY_FULL, _PAST_HALF = 0.9, 0.5
"""Shares of the ports from which their cell is red, and yellow."""


class Looked(Message):
    """There is a new look; another thread may post it."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self.look = look


class WatchView(App[None]):
    """Shows the newest look. States: waiting for the first one, running, paused."""

    ENABLE_COMMAND_PALETTE = False
    CSS = f"""
    Screen {{ layout: vertical; }}
    #title, #keys {{ height: 1; background: $foreground; color: $background; }}
    #top {{ height: auto; max-height: {_VERDICT_LINES}; scrollbar-size-vertical: 1; }}
    #hops {{ height: 1fr; scrollbar-size: 1 1; }}
    #detail {{ height: 3; color: $text-muted; }}
    #text {{ height: 1; border: none; padding: 0; display: none; }}
    .whole #top {{ height: 1fr; max-height: 100%; }}
    .whole #hops, .whole #detail {{ display: none; }}
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", "quit", priority=True),
        Binding("s", "sort", "sort"),
        Binding("slash", "filter", "filter"),
        Binding("escape", "clear", "clear the filter"),
        Binding("p", "pause", "pause"),
        Binding("v", "verdict", "whole verdict"),
    ]

    def __init__(self, scope: str) -> None:
        super().__init__()
        self._scope = scope
        self._newest: Look | None = None
        self._shown: Look | None = None
        self._order = Order.OPENED
        self._wanted = ""
        self._is_paused = False
        self._width = live_table.NARROWEST
        self._columns: list[live_table.LiveColumn] = []
        self._rows: list[HopRow] = []
        self._cells_shown: list[list[Text]] = []
        self._history = live_table.History()

    def compose(self) -> ComposeResult:
        """Yield the parts from top to bottom."""
        yield Static(id="title")
        with VerticalScroll(id="top"):
            yield Static("Looking; the first answer comes after a second.", id="verdict")
        yield DataTable[Text](id="hops", cursor_type="row", cell_padding=0)
        yield Static(id="detail")
        yield Input(placeholder="part of an address, a port or a process; Enter", id="text")
        yield Static(_KEYS, id="keys")

    def on_mount(self) -> None:
        """Let the table have the keys."""
        self.query_one("#top").can_focus = False
        self._table.focus()

    def on_looked(self, message: Looked) -> None:
        """Show a new look, unless it is to stay as it is."""
        self._newest = message.look
        self._history.add(message.look.snapshot)
        if not self._is_paused:
            self._shown = message.look
            self._draw()

    def on_resize(self, event: Resize) -> None:
        """Choose the columns that fit."""
        self._width = event.size.width
        self._columns = []
        self._draw()

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Say more about the hop that is chosen."""
        self._draw_detail()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        self._wanted = event.value.strip()
        self._draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Give the keys back to the table; the filter stays."""
        self._close_input()

    def action_sort(self) -> None:
        """Sort by the next column."""
        self._order = self._order.next
        self._columns = []
        self._draw()

    def action_filter(self) -> None:
        """Ask for a part of a peer."""
        text = self.query_one("#text", Input)
        text.display = True
        text.focus()

    def action_clear(self) -> None:
        """Show all hops again."""
        self.query_one("#text", Input).value = ""
        self._close_input()

    def action_pause(self) -> None:
        """Keep what is shown, or go on with the newest look."""
        self._is_paused = not self._is_paused
        if not self._is_paused:
            self._shown = self._newest
        self._draw()

    def action_verdict(self) -> None:
        """Show the verdict alone, with all that it says, or the hops again."""
        self.screen.toggle_class("whole")
        top = self.query_one("#top")
        top.can_focus = self.screen.has_class("whole")
        (top if top.can_focus else self._table).focus()
        self._draw()

    @property
    def _table(self) -> DataTable[Text]:
        return self.query_one("#hops", DataTable)

    def _close_input(self) -> None:
        self.query_one("#text", Input).display = False
        self._table.focus()

    def _draw(self) -> None:
        if self._shown is None:
            return
        self._draw_title(self._shown)
        self._draw_verdict(self._shown)
        self._draw_table(self._shown)
        self._draw_detail()

    def _draw_title(self, look: Look) -> None:
        snapshot = look.snapshot
        parts = [
            f"bench watch: {self._scope}",
            words.source(snapshot),
            f"{snapshot.t_s:,.0f} s",
            f"by {self._order.value}",
        ]
        if self._wanted:
            parts.append(f"only {self._wanted!r}")
        if (age := words.age(look)) is not None:
            parts.append(age)
        if self._is_paused:
            parts.append("PAUSED")
        self.query_one("#title", Static).update(Text(words.shorten("  ".join(parts), self._width)))

    def _draw_verdict(self, look: Look) -> None:
        width = max(live_table.NARROWEST, self._width) - 1
        faults = look.verdict.faults
        first = _STYLES.get(faults[0].urgency, "bold") if faults else "bold green"
        text = Text(no_wrap=True, overflow="ellipsis")
        if self.screen.has_class("whole"):
            head, *others = verdict_text.lines(look.verdict, width)
            text.append(printable_line(head), first)
            text.append("".join(f"\n{printable_line(line)}" for line in others))
        else:
            styles = {LineKind.HEAD: first, LineKind.CHANGE: "bold green", LineKind.MORE: "dim"}
            lines = condense(look.verdict, width, _VERDICT_LINES)
            text = Text("\n").join(Text(line.text, styles.get(line.kind, "")) for line in lines)
        self.query_one("#verdict", Static).update(text)

    def _draw_table(self, look: Look) -> None:
        """Write those cells anew that are others than before; the hop that was chosen stays so."""
        table, chosen = self._table, self._chosen
        if not self._columns:
            self._add_columns(table)
        self._rows = live_table.select(look.rows, self._order, self._wanted)
        cells = [self._cells(row) for row in self._rows]
        for row in range(len(self._cells_shown), len(cells)):
            table.add_row(*cells[row], key=str(row))
        for row in range(len(cells), len(self._cells_shown)):
            table.remove_row(str(row))
        for row, (before, now) in enumerate(zip(self._cells_shown, cells, strict=False)):
            for column, (old, new) in enumerate(zip(before, now, strict=True)):
                if old != new or old.style != new.style:
                    table.update_cell_at(Coordinate(row, column), new)
        self._cells_shown = cells
        at = None if chosen is None else _find(chosen, self._rows)
        if at is not None and at != table.cursor_row:
            table.move_cursor(row=at)

    def _add_columns(self, table: DataTable[Text]) -> None:
        self._columns = live_table.choose_columns(self._width, self._history)
        table.clear(columns=True)
        self._cells_shown = []
        for column in self._columns:
            heading = f"{column.heading}{'▼' if column.heading == self._order.value else ''}"
            is_name = column is self._columns[0]
            label = heading.ljust(column.width) if is_name else heading.rjust(column.width)
            table.add_column(label, width=column.width)

    def _cells(self, row: HopRow) -> list[Text]:
        name, *others = self._columns
        return [
            Text(name.cell(row, name.width).ljust(name.width)),
            *(
                Text(each.cell(row, each.width).rjust(each.width), style=_style(row, each.heading))
                for each in others
            ),
        ]

    @property
    def _chosen(self) -> HopRow | None:
        at = self._table.cursor_row
        return self._rows[at] if 0 <= at < len(self._rows) else None

    def _draw_detail(self) -> None:
        row = self._chosen
        lines = [] if row is None else live_table.describe(row, self._width)
        self.query_one("#detail", Static).update(Text("\n".join(lines)))


def _find(chosen: HopRow, rows: Sequence[HopRow]) -> int | None:
    """Return where the hop of `chosen` is among `rows`."""
    return next((at for at, row in enumerate(rows) if row.hop == chosen.hop), None)


def _style(row: HopRow, heading: str) -> str:
    """Return the colour of a cell: of ports that run out; of what a sparkline shows."""
    if heading == "ports" and (share := row.ports_share) is not None:
        return "bold red" if share >= _NEARLY_FULL else "yellow" if share >= _PAST_HALF else ""
    return "cyan" if heading == "history" else ""
