"""How things look: the style sheet and the pieces of HTML that Streamlit lacks.

Everything that comes from outside is escaped here, in one place: all functions take plain text. Streamlit's own
texts (labels, captions, alerts) are Markdown, so nothing from outside goes there. Knows no shapes of the API.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape as escape  # for the few pieces of HTML that pages make themselves
from itertools import groupby
from pathlib import Path
from typing import Literal

import streamlit as st

Kind = Literal["good", "busy", "warn", "bad", "quiet"]

_MARKER = re.compile(r"\[(\d{1,3})\]")
_STEP = re.compile(r"(?:\d{1,2}[.)、]|[-•·]|[(（]\d{1,2}[)）]|[①-⑳]|[a-h][.)])\s*")
_ITEM = re.compile(r"(-\s+)(?=\S)")
_BELOW_ZERO = re.compile(r"-\s+\d[\d.,]*\s*(?:[°℃℉%‰…~～–至到-]|\.\.|d[Bb]|m?[VAWKC]\b|mm\b|to\b|and\b)")
_LEAD = re.compile(r".*[:：]")
_NAME = re.compile(r"\*(.+)\*")
_STRONG = re.compile(r"\*\*(?=\S)([^*]+)(?<=\S)\*\*")
_EMPHASIS = re.compile(r"(?<![A-Za-z0-9*])\*(?=\S)([^*]+)(?<=\S)\*(?![A-Za-z0-9*])")
_NOT_FOUND = re.compile(r"\(not found in the cited pages[^()<>]*\)|（所引页面中未找到[^（）<>]*）")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!$:~|])")
_CELL_BORDER = " | "
_SOURCES_AT_ONCE = 6


def apply() -> None:
    """Puts the style sheet into the page."""
    st.html(Path(__file__).with_name("style.css"))


def uploader_texts(drop: str, browse: str, limit: str) -> None:
    """Puts our words into Streamlit's file uploader, whose own are in English only."""
    texts = {"drop": drop, "browse": browse, "limit": limit}
    variables = ";".join(f"--{name}:{_css_string(value)}" for name, value in texts.items())
    st.html(f"<style>:root{{{variables}}}</style>")


@dataclass(frozen=True, slots=True)
class AnswerStyle:
    """`opens`: what a click on a marker opens. `doubt` sets the first line apart, `growing` shows a cursor.

    `is_written`: a model wrote the text, so that `*` and `**` in it mean emphasis; in a quote they mean themselves.
    """

    opens: Mapping[int, str] = field(default_factory=dict)
    doubt: bool = False
    growing: bool = False
    is_written: bool = False


def answer_html(text: str, style: AnswerStyle = AnswerStyle()) -> str:
    """An answer as HTML: lines as paragraphs, steps, lists and table rows, markers as chips, and all else as it is."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    classes = "ad-answer" + " ad-doubt" * style.doubt + " ad-growing" * style.growing
    return f'<div class="{classes}">{"".join(_blocks(lines, style))}</div>'


def _blocks(lines: list[str], style: AnswerStyle) -> Iterator[str]:
    for (borders, are_items), group in groupby(lines, lambda line: (line.count(_CELL_BORDER), _is_item(line))):
        if borders:
            yield f"<table>{''.join(_row(line, style) for line in group)}</table>"
        elif are_items:
            yield f"<ul>{''.join(_item(line, style) for line in group)}</ul>"
        else:
            yield from (_paragraph(line, style) for line in group)


def _is_item(line: str) -> bool:
    """Whether a dash begins a line of a list, and no row of a table and no number below zero."""
    return bool(_ITEM.match(line)) and _CELL_BORDER not in line and not _BELOW_ZERO.match(line)


def _row(line: str, style: AnswerStyle) -> str:
    return f"<tr>{''.join(f'<td>{_inline(cell, style)}</td>' for cell in line.split(_CELL_BORDER))}</tr>"


def _item(line: str, style: AnswerStyle) -> str:
    """The dash stays in the text, unseen, so that the page says what the answer says."""
    _, dash, said = _ITEM.split(line, 1)
    return f'<li><span class="ad-dash">{dash}</span>{_named(said, style)}</li>'


def _paragraph(line: str, style: AnswerStyle) -> str:
    kind = ' class="ad-step"' if _STEP.match(line) else ' class="ad-lead"' if _LEAD.fullmatch(line) else ""
    return f"<p{kind}>{_named(line, style)}</p>"


def _named(line: str, style: AnswerStyle) -> str:
    """A line of an answer; our own words around a section's name are known by where they stand."""
    html = _inline(line, style)
    if not style.is_written and (style.doubt or _LEAD.fullmatch(line)):
        html = _NAME.sub(r"<em>\1</em>", html)
    return html


def _inline(text: str, style: AnswerStyle) -> str:
    html = escape(text)
    if style.is_written:
        html = _EMPHASIS.sub(r"<em>\1</em>", _STRONG.sub(r"<b>\1</b>", html))
        html = _NOT_FOUND.sub(r'<span class="ad-not-found">\g<0></span>', html)
    return _MARKER.sub(lambda found: marker(int(found[1]), style.opens.get(int(found[1]))), html)


def marker(number: int, opens: str | None = None) -> str:
    """The chip of a citation, clickable when it opens something."""
    if opens is None:
        return f'<span class="ad-marker">{number}</span>'
    return f'<button class="ad-marker" data-open="{escape(opens)}">{number}</button>'


def chip(number: int, label: str, opens: str) -> str:
    """A source as a chip."""
    return f'<button class="ad-chip" data-open="{escape(opens)}">{marker(number)} {escape(label)}</button>'


def card(number: int, label: str, quote: str, opens: str, *, shown: bool) -> str:
    """A source as a card with its quote."""
    return (
        f'<button class="ad-card{" ad-shown" if shown else ""}" data-open="{escape(opens)}">'
        f"{marker(number)}<b>{escape(label)}</b><q>{escape(quote)}</q></button>"
    )


def sources(kind: Literal["chips", "cards"], each: Sequence[str], more: str, *, shown: int = 0) -> str:
    """An answer's chips or cards; those behind the first six are seen after a click on `more`, or when one is `shown`.

    `shown`: its place from 0.
    """
    first, rest = "".join(each[:_SOURCES_AT_ONCE]), "".join(each[_SOURCES_AT_ONCE:])
    html = f'<div class="ad-{kind}">{first}</div>'
    if not rest:
        return html
    is_open = " open" if shown >= _SOURCES_AT_ONCE else ""
    return (
        f'{html}<details class="ad-more"{is_open}><summary>{escape(more)}</summary>'
        f'<div class="ad-{kind}">{rest}</div></details>'
    )


def plain(text: str) -> str:
    """Text from outside as Streamlit's labels, which are Markdown, show it unchanged."""
    return _MARKDOWN.sub(r"\\\1", text)


def question(text: str) -> None:
    """A customer's question, as a bubble."""
    st.html(f'<div class="ad-question"><span>{escape(text)}</span></div>')


def asked(text: str) -> None:
    """A reader's question, as a heading."""
    st.html(f'<div class="ad-asked">{escape(text)}</div>')


def pill(text: str, kind: Kind) -> str:
    """A small coloured label."""
    return f'<span class="ad-pill ad-{kind}">{escape(text)}</span>'


def progress(share: float | None, label: str) -> None:
    """A bar; None: it is not known how much there is to do."""
    waiting = " ad-waiting" if share is None else ""
    width = f"{min(1.0, share or 0.0):.1%}"
    st.html(
        f'<div class="ad-bar{waiting}"><i style="width:{width}"></i></div><div class="ad-note">{escape(label)}</div>'
    )


def notice(text: str, kind: Kind, more: list[str] | None = None) -> None:
    """A message, with a list under it."""
    items = "".join(f"<li>{escape(item)}</li>" for item in more or [])
    st.html(f'<div class="ad-notice ad-{kind}">{escape(text)}{f"<ul>{items}</ul>" if items else ""}</div>')


def hello(title: str, more: str) -> None:
    """What a page says before anything has happened on it."""
    st.html(f'<div class="ad-hello"><h2>{escape(title)}</h2><p>{escape(more)}</p></div>')


def empty(title: str, more: str = "") -> None:
    """What stands where there is nothing yet."""
    st.html(f'<div class="ad-empty"><b>{escape(title)}</b>{escape(more)}</div>')


def note(text: str) -> None:
    st.html(f'<div class="ad-note">{escape(text)}</div>')


def _css_string(text: str) -> str:
    escaped = "".join(character if character.isalnum() else f"\\{ord(character):x} " for character in text)
    return f'"{escaped}"'
