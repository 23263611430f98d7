"""How well the check of generated sentences tells what a page says from what it does not.

    python -m benchmarks.checked_facts DATA_FOLDER [--sample N]

Takes sentences of real manuals and articles (emanual_smart_tv, xquad, cmrc2018) as if a model had written them and
cited their passage. As they stand, none may be flagged (*false flags*); so with their numbers written another way
(full-width digits). With one number altered to a value that the passage has nowhere, each must be (*caught*).
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.question_sets import load_sets
from rag.answerers.generative.facts import Claims, Evidence
from rag.sentences import sentence_spans
from rag.types import Passage, Span

_NUMBER = re.compile(r"(?<![\w.,:/-])\d{1,6}(?:\.\d{1,3})?(?![\w/:-]|[.,]\d)")
_WIDE = str.maketrans("0123456789", "０１２３４５６７８９")


@dataclass(slots=True)
class Counted:
    """Sentences looked at, and of them: flagged as they stand, flagged in wide digits; altered, and caught."""

    sentences: int = 0
    with_claims: int = 0
    flagged: int = 0
    flagged_wide: int = 0
    altered: int = 0
    caught: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sample", type=int, default=250, help="texts of each set, evenly spread")
    parser.add_argument("--show", action="store_true", help="print what was flagged or not caught")
    arguments = parser.parse_args()
    print(f"{'':<20}{'sentences':>10}{'with facts':>11}{'false flags':>12}{'in wide':>9}{'altered':>9}{'caught':>8}")
    for each in load_sets(arguments.data):
        if each.name != "squad2":
            step = max(1, len(each.documents) // arguments.sample)
            _print(each.name, counted(each.documents[::step], arguments.show))


def counted(documents: Sequence[tuple[str, str]], show: bool) -> Counted:
    """Every sentence of the texts, against its own text."""
    counts = Counted()
    for title, text in documents:
        evidence = [Evidence(_passage(title, text))]
        for start, end in sentence_spans(text):
            _count(counts, text[start:end], evidence, show)
    return counts


def _count(counts: Counted, sentence: str, evidence: list[Evidence], show: bool) -> None:
    claims = Claims(sentence)
    missing = claims.missing(evidence)
    counts.sentences += 1
    counts.with_claims += bool(claims.count)
    is_flagged = bool(missing) or not claims.is_about(evidence)
    counts.flagged += is_flagged
    counts.flagged_wide += bool(Claims(sentence.translate(_WIDE)).missing(evidence))
    if show and is_flagged:
        print(f"  flagged {missing} in {sentence[:150]!r}")
    if number := _NUMBER.search(sentence):
        altered = f"{sentence[: number.start()]}{_other(number[0])}{sentence[number.end() :]}"
        counts.altered += 1
        caught = bool(Claims(altered).missing(evidence))
        counts.caught += caught
        if show and not caught:
            print(f"  not caught in {altered[:150]!r}")


def _other(number: str) -> str:
    """Another number of about the same look, and so rare that no text has it by chance."""
    return f"{number[0]}7{number[1:]}3" if "." not in number else f"{number}73"


def _passage(title: str, text: str) -> Passage:
    return Passage(
        key=1,
        id="p",
        document_key=1,
        document_id="d",
        document_version=1,
        external_id="e",
        title=title,
        heading_path=(),
        spans=(Span(1, 0, len(text)),),
        page_label=None,
        text=text,
        windows=(),
    )


def _print(name: str, counts: Counted) -> None:
    print(
        f"{name:<20}{counts.sentences:>10}{counts.with_claims:>11}{counts.flagged:>12}{counts.flagged_wide:>9}"
        f"{counts.altered:>9}{counts.caught / max(1, counts.altered):>8.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
