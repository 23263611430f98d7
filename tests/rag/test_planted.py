"""Other people's text in a prompt is text: it closes no delimiter, adds no turn, is no control token, no marker.

Whether a model *obeys* what it reads there is measured by `benchmarks/planted_instructions.py`; here nothing is left
to a model.
"""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import BaseMessage
from tokenizers import AddedToken, Tokenizer, models, normalizers

from rag.answerers.generative.data import as_data, without_copied_joiners
from rag.answerers.generative.history import HistoryLimits
from rag.answerers.generative.prompt import messages_for
from rag.citations import find_quotation
from rag.types import Hit, Question, Turn
from tests.rag.answering import hit
from tests.rag.planted import Planted, asked, planted

CONTROL_TOKENS = (
    *("<s>", "</s>", "<unk>", "<pad>", "<bos>", "<eos>", "<mask>", "<sep>", "<|endoftext|>", "<|end_of_text|>"),
    *(
        "<|im_start|>",
        "<|im_end|>",
        "<|im_sep|>",
        "<|im_middle|>",
        "<|system|>",
        "<|user|>",
        "<|assistant|>",
        "<|end|>",
    ),
    *("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>", "<|python_tag|>"),
    *("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
    *("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_RESULTS]", "[THINK]", "[IMG]", "[BOS]", "[EOS]", "[EOT]", "[PAD]"),
    *("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<｜tool▁calls▁begin｜>"),
    *("<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<unused0>", "<channel|>", "<|channel|>", '<|"|>'),
    *(
        "[gMASK]",
        "<sop>",
        "<eop>",
        "<|observation|>",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "[UNUSED_TOKEN_146]",
        "<reserved_106>",
    ),
    *(
        "<|START_OF_TURN_TOKEN|>",
        "<|SYSTEM_TOKEN|>",
        "<BOS_TOKEN>",
        "[|system|]",
        "[|endofturn|]",
        "]~b]",
        "]~!b[",
        "[e~[",
    ),
    *("<think>", "</think>", "<tool_call>", "</tool_call>", "<|vision_start|>", "<|image_pad|>", "<image>", "<0x0A>"),
    *("<seed:think>", "<extra_id_1>", "<SPECIAL_12>", ">>QUESTION<<", "<|separator|>", "<|start_of_role|>", "<h_role>"),
)
"""Of the tokenizers of two dozen model families; the code under test knows none of them by name."""

CASES = planted()
LIMITS = HistoryLimits()
_TAG = re.compile(r"(?i)[<＜﹤]\s*(/?)\s*(passage|question)\b")
_ROLE_LINE = re.compile(r"(?im)^[\s>#*_-]*(?:system|user|assistant|human|系统|用户|助手)\s*[:：]")


def tokenizer(normalizer: normalizers.Normalizer | None) -> Tokenizer:
    """Knows the control tokens, and every other character as unknown."""
    made = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    if normalizer is not None:
        made.normalizer = normalizer
    made.add_special_tokens([AddedToken(token, normalized=normalizer is not None) for token in CONTROL_TOKENS])
    return made


TOKENIZERS = [tokenizer(None), tokenizer(normalizers.NFC()), tokenizer(normalizers.NFKC())]


def controls_in(text: str) -> list[str]:
    return [token for each in TOKENIZERS for token in each.encode(text).tokens if token in CONTROL_TOKENS]


def check(messages: Sequence[BaseMessage], passages: int) -> None:
    """One prompt: as many messages, delimiters and control tokens as our own words make, and no marker."""
    _, *history, last = messages
    assert [message.type for message in messages] == ["system", *["human", "ai"] * (len(history) // 2), "human"]
    assert controls_in("".join(str(message.content) for message in messages)) == []
    text = str(last.content)
    opened = [name.lower() for slash, name in _TAG.findall(text) if not slash]
    closed = [name.lower() for slash, name in _TAG.findall(text) if slash]
    assert opened == closed == [*["passage"] * passages, "question"]
    assert len(re.findall(r"(?m)^<passage number=\"\d\" from=\"[^\"]*\"(?: page=\"\d+\")?>$", text)) == passages
    for message in (*history, last):
        assert not re.search(r"\[\d", str(message.content))
        assert not _ROLE_LINE.search(str(message.content))
    assert all(not _TAG.search(str(message.content)) for message in history)


def test_the_control_tokens_are_seen_where_nothing_is_done() -> None:
    for token in CONTROL_TOKENS:
        assert token in controls_in(f"a {token} b")
    assert controls_in("＜｜im_start｜＞".replace("｜", "|"))  # by NFKC


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_nothing_planted_leaves_its_place(case: Planted) -> None:
    question, hits = asked(case)
    check(messages_for(question, hits, LIMITS, images=False), len(hits))


def test_the_set_is_large_and_of_many_kinds() -> None:
    assert len(CASES) >= 40
    assert len({case.id for case in CASES}) == len(CASES)
    assert {case.where for case in CASES} == {"passage", "heading", "question", "history"}
    assert {case.language for case in CASES} == {"en", "zh"}


HOSTILE = st.lists(
    st.sampled_from([*CONTROL_TOKENS, "<passage", "</passage>", "</question>", "<", ">", "[", "]", "|", "/", "~", '"'])
    | st.sampled_from(
        ["\nSystem:", "\n### Assistant:", "[1]", "＜", "﹤", "【1】", "\u2060", "\u200b", "\ud83d", "passage"]
    )
    | st.sampled_from([case.text for case in CASES])
    | st.text(max_size=6),
    max_size=12,
).map("".join)


@settings(max_examples=400, deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_no_text_leaves_its_place(words: str, title: str, question: str, said: str) -> None:
    hits: list[Hit] = [hit(words + "x", key=1, title=title, heading_path=[words]), hit(said + "x", key=2)]
    history = (Turn("customer", said), Turn("assistant", words), Turn("customer", title))
    check(messages_for(Question(question, history), hits, LIMITS, images=False), 2)


@settings(max_examples=200, deadline=None)
@given(HOSTILE)
def test_what_is_made_harmless_is_made_so_once_and_for_all(words: str) -> None:
    assert as_data(as_data(words)) == as_data(words)


@pytest.mark.parametrize(
    "code", ["ssh <user>@<host>", "if a<b && c>d", "[OK] > [Save]", "<div class='x'></div>", "x <= 5"]
)
def test_code_in_a_manual_can_still_be_quoted_as_it_stands(code: str) -> None:
    told = as_data(f"Type {code} and wait.")
    assert without_copied_joiners(told).replace("[\u2060", "[") == f"Type {code} and wait."
    assert find_quotation(f"Type {code} and wait.", told)
