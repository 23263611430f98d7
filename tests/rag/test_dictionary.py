"""Questions in the other language: what the dictionary makes of CC-CEDICT's lines, and what a search makes of it."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rag.answerers.extractive.answerer import ExtractiveAnswerer
from rag.dictionary import MOST_TRANSLATIONS, Dictionary, both_ways
from rag.errors import DictionaryUnusable
from rag.retriever import HybridRetriever
from rag.terms import terms_of
from rag.translation import ForeignWord, foreign_words, shared_out, translated_coverage, translations_in
from rag.types import AnswerKind, Finished, Question, Turn
from tests.fakes.passage_store import MemoryPassageStore
from tests.rag.answering import FakeFound, hit
from tests.rag.corpus import EMBEDDER, add, passage
from tests.rag.test_index import index_in

LINES = """# CC-CEDICT
濾網 滤网 [lu:4 wang3] /strainer; filter (of a machine)/CL:個|个[ge4]/
清洗 清洗 [qing1 xi3] /to rinse/to clean, to wash/
洗 洗 [xi3] /to wash/to bathe/to develop (photo)/
電池 电池 [dian4 chi2] /battery/CL:節|节[jie2]/
充電器 充电器 [chong1 dian4 qi4] /battery charger/
電瓶 电瓶 [dian4 ping2] /variant of 電池|电池[dian4 chi2]/
的 的 [de5] /of; ~'s (possessive particle)/
儀式 仪式 [yi2 shi4] /a ceremony held every year at the beginning of spring/
half a line
""".splitlines()


def dictionary_in(folder: Path, lines: list[str] = LINES) -> Dictionary:
    source = folder / "words.txt"
    source.write_text("\n".join(lines), encoding="utf-8")
    return Dictionary(folder / "cache", source)


def test_entries_translate_both_ways_in_the_words_of_the_index() -> None:
    entries = both_ways(LINES)
    assert entries["滤网"] == [("strainer",), ("filter",)]
    assert entries["清洗"] == [("rins",), ("clean",), ("wash",)]
    assert entries["wash"] == [("洗",), ("清洗",)]  # the commoner word first
    assert entries["batteri charger"] == [("充电器",)]
    # A reference to another entry, a word of grammar and an explanation translate nothing.
    assert entries.keys() & {"电瓶", "的", "仪式", "variant", "ceremoni"} == set()
    many = [f"詞{n} 词{n} [ci2] /thing/" for n in range(50)]
    assert len(both_ways(many)["thing"]) == MOST_TRANSLATIONS


def test_the_file_is_made_once_also_by_many_at_once(tmp_path: Path) -> None:
    dictionary_in(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        each = pool.map(lambda _: Dictionary(tmp_path / "cache", tmp_path / "words.txt").prepare(), range(4))
        [file] = set(each)
    (tmp_path / "words.txt").write_text("", encoding="utf-8")
    assert Dictionary(tmp_path / "cache", tmp_path / "words.txt").translations(["电池", "zzz"]) == {
        "电池": [("batteri",)]
    }
    assert [each.name for each in file.parent.glob("*.sqlite")] == [file.name]


def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    dictionary = dictionary_in(tmp_path)
    dictionary.prepare().write_bytes(b"not a database, and longer than its header would be" * 10)
    with pytest.raises(DictionaryUnusable, match="delete it"):
        dictionary.translations(["电池"])
    with sqlite3.connect(dictionary.prepare().with_suffix(".new")) as emptied:
        emptied.execute("CREATE TABLE other (word TEXT)")
    emptied.close()
    dictionary.prepare().with_suffix(".new").replace(dictionary.prepare())
    with pytest.raises(DictionaryUnusable, match="delete it"):
        dictionary.translations(["电池"])


def test_only_words_that_no_passage_has_are_translated_and_only_into_words_that_passages_have(tmp_path: Path) -> None:
    held = {"filter": 2, "rins": 1, "电池": 1, "wash": 4}
    rarity = {"filter": 2.0, "rins": 3.0, "wash": 1.0}.__getitem__
    found = foreign_words(["滤网", "清洗", "电池"], dictionary_in(tmp_path), lambda word: held.get(word, 0), rarity)
    assert found == [ForeignWord([(("rins",), 3.0), (("wash",), 1.0)]), ForeignWord([(("filter",), 2.0)])]
    assert shared_out(found) == {"filter": 1.0, "rins": 0.5, "wash": 0.5}


def test_a_foreign_word_counts_by_its_best_translation() -> None:
    foreign = [ForeignWord([(("rins",), 3.0), (("wash",), 1.0)]), ForeignWord([(("water", "filter"), 1.0)])]
    # Two passages, of one whole and two windows, and of a whole alone; "filter" stands in the heading of the first.
    rows = [["filter"], ["wash", "water"], ["rins"], ["water"]]
    terms, first_terms = terms_of(word for row in rows for word in row), np.array([0, 1, 3, 4, 5])
    of_rows, of_passages = translated_coverage(foreign, terms, first_terms, np.array([0, 3, 4]))
    assert of_rows.tolist() == [0.0, 0.5, 0.75, 0.0]
    assert of_passages.tolist() == [1.0, 0.0]
    none, neither = translated_coverage([], terms, first_terms, np.array([0, 3, 4]))
    assert (none.tolist(), neither.tolist()) == ([0] * 4, [0] * 2)


@pytest.mark.parametrize(
    ("question", "key"),
    [
        ("滤网怎么清洗？", 1),
        ("濾網怎麼清洗？", 1),
        ("How do I wash the strainer?", 2),
        ("Where is the battery charger?", 3),
    ],
)
def test_a_question_finds_the_passage_in_the_other_language(tmp_path: Path, question: str, key: int) -> None:
    store = MemoryPassageStore()
    add(store, passage(1, "Rinse the filter under running water."), passage(2, "滤网请用清水清洗。"))
    add(store, passage(3, "充电器在左边的抽屉里。"))
    add(store, *(passage(4 + n, f"Something else entirely, number {n}. 与此无关。") for n in range(9)))
    plain = HybridRetriever(index=index_in(tmp_path / "index"), store=store, embeddings=EMBEDDER)
    translating = plain.model_copy(update={"dictionary": dictionary_in(tmp_path)})
    # The test's vectors know nothing of other languages: words alone lead there.
    hits = translating.search(question, history=[Turn("customer", "Hello")]).hits
    wanted = {1, 2} if key < 3 else {3}
    assert hits[0].passage.key in wanted
    assert hits[0].signals["lexical"] > 0


def test_an_answer_quotes_the_sentence_that_has_the_translations() -> None:
    text = "Store the charger dry. Rinse the strainer under running water every week. Never use soap on the lid."
    found = replace(hit(text), translations=("rins", "strainer"))
    asked = "滤网怎么清洗？"
    *_, event = ExtractiveAnswerer().answer(Question(asked), FakeFound((found,), asked))
    assert isinstance(event, Finished)
    assert event.answer.kind is not AnswerKind.ANSWER  # never sure across languages
    assert event.answer.citations[0].quote.startswith("Rinse the strainer")
    foreign = [ForeignWord([(("rins",), 3.0), (("wash",), 1.0)])]
    assert translations_in(foreign, terms_of(["wash", "rins", "x"])) == ("rins",)
    assert translations_in(foreign, terms_of(["wash"])) == ("wash",)
