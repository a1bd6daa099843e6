"""What users see of an object: a title, facts and a table, as text and as HTML of the same content.

* The text is aligned, at most `WIDTH` columns wide, and holds no escape sequence of a terminal.
* The HTML is a static fragment that is well-formed XML: no script, nothing from elsewhere. Text and ground are set
  together, so that it can be read whatever theme it is shown in; without its style it is still a table.
* Characters that cannot be printed are shown by their escapes in both.
"""

from __future__ import annotations

import html
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDTH = 100
_INDENT, _GAP = "  ", "  "
#: A column of text is not made narrower than this to have the table fit.
_NARROWEST = 12


@dataclass(frozen=True)
class Table:
    """Rows of text under the names of the columns; `right` are the numbers of the columns aligned to the right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row has {len(row)} cells, and the table {len(self.columns)} columns: {row!r:.200}")


@dataclass(frozen=True)
class Panel:
    """A title, named facts, lines of text, and a table; `as_of` tells when that was so, as "12:03:05, 3 s ago"."""

    title: str
    facts: tuple[tuple[str, str], ...] = ()
    lines: tuple[str, ...] = ()
    table: Table | None = None
    as_of: str = ""

    def text(self) -> str:
        """For terminals and logs."""
        parts = [_wrapped(self.title, "", ""), *_facts_text(self.facts)]
        parts += [_wrapped(line, _INDENT, 2 * _INDENT) for line in self.lines]
        if self.table is not None:
            parts += _table_text(self.table)
        if self.as_of:
            parts.append(f"{_INDENT}as of {printable(self.as_of)}")
        return "\n".join(parts)

    def html(self) -> str:
        """For notebooks."""
        title = _element("div", self.title, "title")
        facts = "".join(f"<tr>{_element('th', name)}{_element('td', fact)}</tr>" for name, fact in self.facts)
        parts = [
            f"<style>{_STYLE}</style>",
            title,
            f'<table class="raycache-facts"><tbody>{facts}</tbody></table>' if facts else "",
            *(_element("div", line, "line") for line in self.lines),
            _table_html(self.table) if self.table is not None else "",
            _element("div", f"as of {self.as_of}", "as-of") if self.as_of else "",
        ]
        return f'<div class="raycache-panel">{"".join(parts)}</div>'


def printable(text: str) -> str:
    """The text with what cannot be printed, or would steer a terminal, as escapes: "\\x1b", "\\u202e", "\\udc80"."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


# ------------------------------------------------------------------------------------------------ text


def _wrapped(text: str, first: str, others: str) -> str:
    lead = text[: len(text) - len(text.lstrip(" "))]
    return textwrap.fill(
        printable(text.strip()), WIDTH, initial_indent=first + lead, subsequent_indent=others + lead
    ) or (first + lead)


def _facts_text(facts: Sequence[tuple[str, str]]) -> list[str]:
    names = [_shortened(printable(name), WIDTH // 3) for name, _ in facts]
    width = max(map(_columns, names), default=0)
    lead = " " * (len(_INDENT) + width + len(_GAP))
    return [
        _wrapped(fact, f"{_INDENT}{_padded(name, width, False)}{_GAP}", lead).rstrip()
        for name, (_, fact) in zip(names, facts, strict=True)
    ]


def _table_text(table: Table) -> list[str]:
    rows = [[printable(cell) for cell in row] for row in (table.columns, *table.rows)]
    widths = _fitting([max(map(_columns, column)) for column in zip(*rows, strict=True)], table.right)
    lines = [_row_text(row, widths, table.right) for row in rows]
    return [lines[0], _row_text(["-" * width for width in widths], widths, table.right), *lines[1:]]


def _fitting(widths: Iterable[int], right: frozenset[int]) -> list[int]:
    """Widths with which the table is `WIDTH` wide: taken from the widest column of text, numbers are not cut."""
    fitted = list(widths)
    while sum(fitted) + len(_INDENT) + len(_GAP) * (len(fitted) - 1) > WIDTH:
        free = [column for column in range(len(fitted)) if column not in right and fitted[column] > _NARROWEST]
        if not free:
            break
        fitted[max(free, key=fitted.__getitem__)] -= 1
    return fitted


def _row_text(cells: Sequence[str], widths: Sequence[int], right: frozenset[int]) -> str:
    padded = (
        _padded(_shortened(cell, width), width, column in right)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return (_INDENT + _GAP.join(padded)).rstrip()


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_column, text))


def _column(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _shortened(text: str, width: int) -> str:
    """The text without its middle: names of modules and functions differ at both ends."""
    if _columns(text) <= width:
        return text
    head, tail = width // 2, width - width // 2 - 1
    return f"{_start(text, head)}…{_start(text[::-1], tail)[::-1]}"


def _start(text: str, width: int) -> str:
    taken = 0
    for at, character in enumerate(text):
        taken += _column(character)
        if taken > width:
            return text[:at]
    return text


def _padded(text: str, width: int, right: bool) -> str:
    space = " " * (width - _columns(text))
    return space + text if right else text + space


# ------------------------------------------------------------------------------------------------ HTML


def _element(tag: str, text: str, kind: str = "") -> str:
    of_class = f' class="raycache-{kind}"' if kind else ""
    return f"<{tag}{of_class}>{html.escape(printable(text))}</{tag}>"


def _table_html(table: Table) -> str:
    head = _cells("th", table.columns, table.right)
    body = "".join(f"<tr>{_cells('td', row, table.right)}</tr>" for row in table.rows)
    return f'<table class="raycache-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _cells(tag: str, cells: Sequence[str], right: frozenset[int]) -> str:
    return "".join(_element(tag, cell, "number" if column in right else "") for column, cell in enumerate(cells))


# Notebooks name their colours; where they do not, the reader's system says light or dark, and a page that says it of
# itself (Sphinx, Colab, VS Code, JupyterLab) is believed before the system.
_LIGHT = "--rc-text:{}#1f2328{};--rc-faint:{}#59636e{};--rc-ground:{}#ffffff{};--rc-line:{}#d1d9e0{}"
_DARK = "--rc-text:{}#e6e8eb{};--rc-faint:{}#a2abb5{};--rc-ground:{}#16191d{};--rc-line:{}#3d444d{}"
_NAMED = ("--jp-content-font-color1", "--jp-content-font-color2", "--jp-layout-color1", "--jp-border-color2")
_OF_VSCODE = (
    "--vscode-editor-foreground",
    "--vscode-descriptionForeground",
    "--vscode-editor-background",
    "--vscode-panel-border",
)


def _colours(theme: str, names: Sequence[str] = _NAMED) -> str:
    """The theme's colours, each as what the page has under a name, if it has that."""
    return theme.format(*(each for name in names for each in (f"var({name},", ")")))


def _where(pages: Sequence[str]) -> str:
    return ",".join(f"{page} .raycache-panel" for page in pages)


_SAY_LIGHT = ('[data-jp-theme-light="true"]', '[data-theme="light"]', '[theme="light"]')
_SAY_DARK = ('[data-jp-theme-light="false"]', '[data-theme="dark"]', '[theme="dark"]')
#: The class thrice: notebooks have rules of their own for tables, which must not outrank these.
_OWN = 3 * ".raycache-panel"
_STYLE = f"""
.raycache-panel{{{_colours(_LIGHT)};color:var(--rc-text);background:var(--rc-ground);border:1px solid var(--rc-line);
border-radius:6px;padding:8px 12px;display:inline-block;max-width:100%;overflow-x:auto;box-sizing:border-box;
font:13px/1.45 system-ui,sans-serif}}
@media (prefers-color-scheme:dark){{.raycache-panel{{{_colours(_DARK)}}}}}
{_where(_SAY_LIGHT)}{{{_colours(_LIGHT)}}}
{_where(_SAY_DARK)}{{{_colours(_DARK)}}}
{_where((".vscode-light", ".vscode-high-contrast-light"))}{{{_colours(_LIGHT, _OF_VSCODE)}}}
{_where((".vscode-dark", ".vscode-high-contrast"))}{{{_colours(_DARK, _OF_VSCODE)}}}
{_OWN} .raycache-title{{font-weight:600;margin-bottom:4px}}
{_OWN} .raycache-line{{margin:2px 0;white-space:pre-wrap}}
{_OWN} .raycache-as-of{{color:var(--rc-faint);font-size:11px;margin-top:6px}}
{_OWN} table{{border-collapse:collapse;border:0;margin:4px 0;color:inherit;background:none;font:inherit}}
{_OWN} tr{{background:none;border:0}}
{_OWN} th,{_OWN} td{{padding:2px 14px 2px 0;border:0;text-align:left;vertical-align:top;
color:inherit;background:none}}
{_OWN} .raycache-facts th{{color:var(--rc-faint);font-weight:400}}
{_OWN} .raycache-table thead th{{border-bottom:1px solid var(--rc-line);font-weight:600}}
{_OWN} .raycache-table .raycache-number{{text-align:right;white-space:nowrap;
font-variant-numeric:tabular-nums}}
"""
