import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.analyzer import LONGEST_WORD, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Connecting the connections", ["connect", "connect"]),
        ("Error E-42 on QN65Q60RAFXZA", ["error", "e42", "e", "42", "qn65q60rafxza"]),
        ("Wi-Fi and WiFi", ["wifi", "wi", "fi", "wifi"]),
        ("the TV's remote doesn't", ["tv", "remot", "doesnt"]),
        ("1,000 rpm at 3.5 V", ["1000", "rpm", "3.5", "3", "5", "v"]),
        ("ＷＬＡＮ　①", ["wlan", "1"]),
        ("如何连接无线网络？", ["连接", "无线", "线网", "网络", "无线网", "无线网络"]),
        ("按E-42键", ["按", "e42", "e", "42", "键"]),
        ("Где находится", ["где", "находится"]),
        ("what is it", []),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text(max_size=300))
def test_every_word_can_be_indexed(text: str) -> None:
    for word in words(text):
        assert 0 < len(word) <= LONGEST_WORD
        assert word.split() == [word]


@pytest.mark.parametrize(
    "text", ["x" * 100_000, "-" * 100_000, "a-" * 50_000, "的" * 50_000, "1," * 50_000, "’" * 9_999]
)
def test_hostile_text_costs_no_more_than_its_length(text: str) -> None:
    assert all(len(word) <= LONGEST_WORD for word in words(text))


def test_the_chinese_dictionary_is_read_only_when_needed_and_leaves_no_file(tmp_path: object) -> None:
    program = (
        "import sys, rag.analyzer as a; a.words('only English'); assert not a._dictionary.initialized; "
        "a.words('中文'); assert a._dictionary.initialized"
    )
    environment = {"TMPDIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr == "" or "Warning" in done.stderr
    assert list(tmp_path.iterdir()) == []  # type: ignore[attr-defined]
