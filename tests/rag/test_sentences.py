"""Sentence borders: exact cases, and what must hold for any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.sentences import sentence_spans
from tests.effort import costs_at_most


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    "marked",
    [
        "Press OK.¶ The menu opens!¶ Did it?¶",
        "先按“确定”。¶再等待！¶完成了吗？¶是；¶好¶",
        "他说：“请等待。”¶然后离开。¶",
        "等等……¶然后继续。¶",
        "Use a tool, e.g. Pliers, or i.e. Tongs.¶ Done.¶",
        "See Fig. 3 and No. 5.¶ Dr. Who vs. Mr. No.¶ Next¶",
        "The answer is no.¶ Then stop.¶",
        "Set 3.5 V in 2.10.1.¶ Now go.¶",
        "Open http://a.b/c.html?x=1!y now.¶ Or www.a.com.¶ End¶",
        'He said "Stop."¶ Then (see below.) it ran.¶',
        "A line\nthat wraps.¶ Next\none.¶",
        "Heading¶\n\nText here¶",
        "Do this:¶\n1. Press A.¶\n2. Press B¶\n3) Wait¶\n- item one¶\n• item two¶",
        "步骤¶\n1、按下¶\n（2）松开¶\n①完成¶\n三、其他¶",
        "in the year\n2023 it began¶",
        "Intro¶\nCode | Meaning¶\nE-42 | Door open. Close it¶\nThe end¶",
        "It returns t.¶ ode45 is next.¶ file_name too.¶ iPhone¶",
        "The approx. value etc. is fine.¶ J. Smith of the U.S. Navy¶",
        "At 5 p.m.¶ It rains.¶ Press OK.¶然后等待¶",
        "Wait... and see.¶ Wait...¶ Then go¶",
    ],
)
def test_borders(marked: str) -> None:
    """Each sentence's end is marked with ¶."""
    assert sentences(marked.replace("¶", "")) == [part.strip() for part in marked.split("¶") if part.strip()]


@pytest.mark.parametrize("text", ["", " \n\t \u3000"])
def test_nothing_to_read_has_no_sentences(text: str) -> None:
    assert sentence_spans(text) == []


def test_a_bar_in_a_long_line_makes_no_table_row() -> None:
    assert len(sentences("One step. " * 60 + "A | b. " + "Two steps. " * 100)) == 161


ALPHABET = st.sampled_from(
    [*"ab Z1.!?…。；\n\n \t|-*•()（）”\"'、①一", " | ", "e.g.", "1. ", "……", "𝒳", "e\u0301", "\u3000"]
)


@given(st.lists(ALPHABET | st.characters(), max_size=80).map("".join))
def test_spans_are_ordered_trimmed_and_cover_everything(text: str) -> None:
    spans = sentence_spans(text)
    end_before = 0
    for start, end in spans:
        assert end_before <= start < end
        assert not text[end_before:start].strip()
        assert text[start:end] == text[start:end].strip()
        end_before = end
    assert not text[end_before:].strip()


@pytest.mark.parametrize(
    "piece", [".", " ", "\n", "\n ", "(", "1. ", "a. ", "。”", ". ", '."', "a | ", "\n|", "| ", "-\n", "e.g. a. "]
)
def test_hostile_repetition_takes_linear_time(piece: str) -> None:
    text = piece * (300_000 // len(piece)) + "x"
    assert costs_at_most(2, lambda: sentence_spans(text))
