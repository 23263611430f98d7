"""What texts have in common, what recurs among them, and what nobody can read."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.quality.legible import is_unreadable, is_unreadable_page
from ingestion.quality.likeness import SHINGLE, Sketch, alike, normalised_words, shingles
from ingestion.quality.recurring import FROM_PLACES, Recurring, said_before

NOTICE = (
    "This manual is protected by copyright. No part of it may be copied or passed on without written permission. "
    "All names of products are marks of their owners."
)


def prose(seed: int, words: int) -> str:
    """Text that has nothing in common with that of another seed."""
    chosen = random.Random(seed)
    return " ".join("".join(chosen.choices("abcdefghijklmnop", k=chosen.randint(3, 9))) for _ in range(words))


def sketch(*texts: str) -> Sketch:
    made = Sketch()
    for text in texts:
        made.add(text)
    return made


def reference_shingles(text: str) -> set[tuple[str, ...]]:
    words = normalised_words(text)
    length = min(SHINGLE, len(words))
    return {tuple(words[at : at + length]) for at in range(len(words) - length + 1)} - {()}


@given(st.lists(st.sampled_from(["red", "Red,", "knob", "左", "转", "20", "21"]), max_size=40), st.data())
def test_the_share_of_short_texts_is_exact(words: list[str], data: st.DataObject) -> None:
    others = data.draw(st.permutations(words[:12])) + words[12:]
    one, other = " ".join(words), "\n".join(others)
    assert len(shingles(one)) == len(reference_shingles(one))
    mine, theirs = reference_shingles(one), reference_shingles(other)
    exact = len(mine & theirs) / len(mine | theirs) if mine | theirs else 0.0
    assert sketch(one).share(sketch(other)) == pytest.approx(exact)


@pytest.mark.parametrize("kept", [2000, 1800, 1400, 600, 0])
def test_the_share_of_long_texts_is_estimated(kept: int) -> None:
    same, added = prose(1, kept), prose(2, 2000 - kept)
    pages = [same[begin : begin + 3000] for begin in range(0, len(same), 3000)]
    exact = kept / (2000 + 2000 - kept)
    assert sketch(*pages, prose(3, 2000 - kept)).share(sketch(same, added)) == pytest.approx(exact, abs=0.09)


def test_chinese_is_compared_by_characters() -> None:
    text = "请长按电源键五秒，直到指示灯变为绿色，然后松开按键并等待设备重新启动。"
    assert sketch(text).share(sketch(text.replace("，", "、 "))) == 1.0
    assert 0.1 < sketch(text).share(sketch(text.replace("绿色", "红色"))) < 0.7


def test_of_documents_that_are_alike_the_first_is_kept_and_siblings_stay() -> None:
    manual, edition = prose(1, 600), prose(1, 580) + " " + prose(2, 20)
    documents = [
        (9, "S10", sketch(edition)),
        (8, "S10", sketch(manual)),
        (7, "S9", sketch(manual)),
        (6, "S9", sketch(edition)),
        (5, "S10", sketch(prose(5, 600))),
        (4, "S10", Sketch()),
    ]
    found = {each.key: (each.like, each.is_sibling) for each in alike(documents)}
    assert found == {8: (9, False), 7: (9, True), 6: (7, False)}
    assert all(0.85 < each.share < 1 for each in alike(documents) if each.key in (8, 6))


def test_a_shared_notice_makes_no_documents_alike() -> None:
    documents = [(number, "", sketch(NOTICE, prose(number, 200))) for number in range(600)]
    assert list(alike(documents)) == []


def recurring(passages: list[tuple[str, str]]) -> Recurring:
    counted = Recurring()
    for scope, text in passages:
        counted.add(text, scope)
    counted.count()
    return counted


def test_what_stands_in_many_passages_is_told_whatever_its_case_and_spaces() -> None:
    passages = [("", f"{prose(number, 30)}. {NOTICE}") for number in range(FROM_PLACES - 1)]
    assert recurring(passages).runs(passages[0][1], "") == ([], False)
    passages.append(("", NOTICE.upper().replace(" ", "\n ")))
    counted = recurring(passages)
    (run,), covered = counted.runs(passages[0][1], "")
    assert not covered
    assert passages[0][1][run.start : run.end] == NOTICE
    (same,), covered = counted.runs(passages[-1][1], "")
    assert covered
    assert same.name == run.name


def test_each_product_is_counted_by_itself() -> None:
    passages = [(f"product {number}", NOTICE) for number in range(9)]
    assert recurring(passages).runs(NOTICE, "product 0") == ([], False)
    passages += [("product 0", NOTICE)] * (FROM_PLACES - 1)
    assert recurring(passages).runs(NOTICE, "product 0")[1]
    assert not recurring(passages).runs(NOTICE, "product 1")[1]


def test_figures_that_differ_do_not_recur() -> None:
    rows = [
        ("", f"Torque of bolt {number} | {number * 3} Nm | class {number}.9 | grease at every service")
        for number in range(9)
    ]
    assert recurring(rows).runs(rows[0][1], "") == ([], False)


@given(
    st.lists(
        st.tuples(st.sampled_from(["", "x"]), st.lists(st.sampled_from(list("abcdefghijklmn")), max_size=14)),
        max_size=30,
    )
)
def test_leaving_out_what_is_said_before_loses_no_words(passages: list[tuple[str, list[str]]]) -> None:
    """Every eight words in a row that are left out stay somewhere in the same scope."""
    texts = [(number, scope, " ".join(words)) for number, (scope, words) in enumerate(passages)]
    left_out = set(said_before(texts))
    for number, scope, text in texts:
        kept = set().union(*(reference_shingles(t) for n, s, t in texts if s == scope and n not in left_out))
        assert number not in left_out or reference_shingles(text) <= kept


@pytest.mark.parametrize(
    "text",
    [
        "Press and hold the power button for five seconds.",
        "长按电源键五秒。",
        "Нажмите и удерживайте кнопку питания.",
        "Model | Weight | Power\nLT-300 | 1.2 kg | 45 W\nLT-310 | 1.4 kg | 60 W",
        "E-42 | Water tank empty | Fill the tank",
        'x = linspace (0, 2*pi, 100); plot (x, sin (x), "linewidth", 2);',
        "gnuplot> set terminal png size 640,480\ngnuplot> plot sin(x)/x with lines",
        "tar -xvf foo.tar | 从“foo.tar”档案中提取文件\ntar -xvzf foo.tar.gz | 从压缩过的档案中提取 chmod rwxrwsr ctrl",
        "M10 | 42 Nm | 12.9\nM12 | 74 Nm | 10.9\nTighten crosswise",
    ],
)
def test_what_can_be_read_is_readable(text: str) -> None:
    assert not is_unreadable(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "17",
        "iv",
        "· · ·",
        "\n".join(f"1.{number} {'.' * 40} {number}" for number in range(3)),
        "0a 4f 3c 99 de ad be ef 00 00 12 7f fa ce 0b 1c 2d 3e 4f 50 61 72 83 94 a5 b6 c7 d8",
        "TWFuIGlzIGRpc3Rpbmd1aXNoZWQsIG5vdCBvbmx5IGJ5IGhpcyByZWFzb24sIGJ1dCBieSB0aGlzIHNpbmd1bGFyIHBhc3Npb24gZnJvbSBvdGhlcg",
        "\ufffd\ue001\ue002\ufffd abc \ue010\ue011\ufffd" * 4 + " def ghi jkl mno",
        "4711 0815 3.14159 2.71828 1.41421 1.61803 0.57721 6.62607 1.38064 9.10938 1.67262 8.98755",
    ],
)
def test_what_cannot_be_read_is_unreadable(text: str) -> None:
    assert is_unreadable(text)


def test_a_contents_page_is_no_unreadable_page_though_its_lines_answer_nothing() -> None:
    lines = "\n".join(f"{number} Cleaning {'. ' * 40} {number}" for number in range(1, 30))
    assert is_unreadable(lines)
    assert not is_unreadable_page(lines)
    assert is_unreadable_page("\ufffd\ue001\ue002" * 40)
