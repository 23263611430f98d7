"""Product names: how they are written in questions, and which of the known products a text names.

Owns the comparison of a text with the names: case, gaps, hyphens, "plus", parts of names, and which part is too
common to tell anything. Knows nothing of particular vendors, documents or conversations. English and Chinese.

Names and texts are compared as atoms: runs of letters, numbers, "+", single Chinese characters. "LT-300S", "lt 300s"
and "LT300S" are the same three.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from itertools import pairwise

_CHINESE = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_ATOM = re.compile(rf"[{_CHINESE}]|\d+(?:\.\d+)*|\+|[^\W\d_{_CHINESE}]+")
_POSSESSIVE = re.compile(r"['’]s\b")
_PLUS = {"plus", "+"}
_NAMES_TOGETHER = re.compile(r"\s*[,;|、，；]\s*|\s+/\s+|(?<=[^\W\d])/(?=\D)")
_YEAR = re.compile(r"(19|20)\d\d")

LOOKED_AT = 1000
"""Characters of a text in which products are looked for."""

_SHORT_CHINESE = 4
"""So many Chinese characters of a longer name are enough to name it."""

_ONE_WORD = 4
"""Letters of a name that is a single word and still no accident in a text."""


class Closeness(IntEnum):
    """How well a text names a product; higher goes before lower."""

    NEAR = 1
    PART = 2
    WHOLE = 3


@dataclass(frozen=True, slots=True)
class _Atom:
    text: str
    start: int
    end: int
    is_glued: bool
    """To the one before, without a gap."""

    is_joined: bool
    """To the one before, by nothing but hyphens."""

    is_capital: bool

    @property
    def is_number(self) -> bool:
        return self.text[0].isdigit()

    @property
    def is_letters(self) -> bool:
        return self.text[0].isalpha() and not self.is_chinese

    @property
    def is_chinese(self) -> bool:
        return bool(re.match(f"[{_CHINESE}]", self.text))


@dataclass(frozen=True, slots=True)
class Mention:
    """Where a text names a product, and which it may be: one, or several where the name does not tell them apart.

    `is_sure` is False where the words may as well be ordinary ones.
    """

    start: int
    end: int
    products: tuple[str, ...]
    closeness: Closeness
    is_sure: bool


@dataclass(frozen=True, slots=True)
class _Name:
    product: str
    atoms: tuple[str, ...]
    own: tuple[bool, ...]
    """Of each atom whether it tells this product from most others."""


class _Run:
    """Names that have the same atoms at some place, and from there on by the atom that follows."""

    def __init__(self, length: int, places: Sequence[tuple[_Name, int]]) -> None:
        self.length = length
        self.places = places

    @cached_property
    def longer(self) -> "Mapping[str, _Run]":
        """Made when a text first comes so far, for of long names few parts are ever said."""
        following: dict[str, list[tuple[_Name, int]]] = {}
        for name, place in self.places:
            if place + self.length < len(name.atoms):
                following.setdefault(name.atoms[place + self.length], []).append((name, place))
        return {atom: _Run(self.length + 1, places) for atom, places in following.items()}


_Meant = tuple[tuple[str, ...], Closeness, bool]
"""Products, how well they are named, and whether surely: the last three of a `Mention`."""

_Known = dict[tuple[object, ...], _Meant | None]
"""What was judged of a text so far: by the run, and by all that counts in how it is written there."""


class ProductNames:
    """The names of all products of a knowledge base. Never changes; safe for threads."""

    def __init__(self, products: Iterable[str]) -> None:
        self.products = tuple(sorted({each for each in products if each.strip()}))
        spelled = [(each, _atoms(name)) for each in self.products for name in _names_in(each)]
        spelled = [(product, atoms) for product, atoms in spelled if atoms]
        common = _common_atoms(spelled)
        self._names = [
            _Name(product, tuple(atom.text for atom in atoms), _own_atoms(atoms, *common)) for product, atoms in spelled
        ]
        by_atom: dict[str, list[tuple[_Name, int]]] = {}
        for name in self._names:
            for place, atom in enumerate(name.atoms):
                by_atom.setdefault(atom, []).append((name, place))
        self._runs = {atom: _Run(1, places) for atom, places in by_atom.items()}

    def __len__(self) -> int:
        return len(self.products)

    def mentions(self, text: str) -> list[Mention]:
        """The places of `text` that name products, in order, none overlapping: the longer name goes before.

        Only its first `LOOKED_AT` characters are looked at.
        """
        if not self._names:
            return []
        atoms = _atoms(text[:LOOKED_AT])
        known: _Known = {}
        found = [each for start in range(len(atoms)) for each in self._starting_at(atoms, start, known)]
        found.sort(key=lambda each: (each.closeness is Closeness.NEAR, each.start - each.end, each.start))
        kept: list[Mention] = []
        for each in found:
            if all(each.end <= other.start or other.end <= each.start for other in kept):
                kept.append(each)
        return sorted(kept, key=lambda each: each.start)

    def without(self, text: str) -> str:
        """`text` with the products named in it left out."""
        for mention in reversed(self.mentions(text)):
            possessive = _POSSESSIVE.match(text, mention.end)
            text = f"{text[: mention.start]} {text[possessive.end() if possessive else mention.end :]}"
        return " ".join(text.split())

    def _starting_at(self, atoms: Sequence[_Atom], start: int, known: _Known) -> Iterator[Mention]:
        """For each length the products that the atoms from `start` on may name: the best of them only."""
        first = atoms[start]
        if first.is_glued and not first.is_chinese and not atoms[start - 1].is_chinese:
            return
        run = self._runs.get(first.text)
        while run is not None:
            end = start + run.length
            if meant := _meant(run, atoms, start, known):
                yield Mention(first.start, atoms[end - 1].end, *meant)
            run = run.longer.get(atoms[end].text) if end < len(atoms) else None


def _meant(run: _Run, atoms: Sequence[_Atom], start: int, known: _Known) -> _Meant | None:
    """Which products the atoms of this run name that go on in another way than the text does; None for none."""
    end = start + run.length
    matched, after = atoms[start:end], atoms[end : end + 2]
    longer = run.longer.get(after[0].text) if after else None
    written = tuple((atom.is_joined, atom.is_capital) for atom in matched)
    behind = tuple((atom.is_glued, atom.is_chinese, _may_end_a_name(atom)) for atom in after)
    key = (id(run), id(longer), written, behind)
    if key not in known:
        goes_on = atoms[end].text if longer is not None else None
        found: dict[str, tuple[Closeness, bool]] = {}
        for name, place in run.places:
            behind_it = name.atoms[place + run.length : place + run.length + 1]
            if goes_on is not None and behind_it == (goes_on,):
                continue  # it is named by more than this run
            judged = _judged(matched, atoms, end, name, place)
            if judged is not None:
                found[name.product] = max(found.get(name.product, judged), judged)
        known[key] = _best_of(found)
    return known[key]


def _best_of(found: Mapping[str, tuple[Closeness, bool]]) -> _Meant | None:
    if not found:
        return None
    best = max(closeness for closeness, _ in found.values())
    chosen = {product: sure for product, (closeness, sure) in found.items() if closeness == best}
    return tuple(sorted(chosen)), best, all(chosen.values())


def readable(product: str) -> str:
    """A product's name as people write it."""
    return " ".join(product.replace("_", " ").split())


def _names_in(product: str) -> list[str]:
    """A value may list several names ("X1, X2"), all of the same product."""
    return [name for name in _NAMES_TOGETHER.split(product) if name.strip()]


def _atoms(text: str) -> list[_Atom]:
    text = _normalised(text)
    found: list[_Atom] = []
    end = 0
    for match in _ATOM.finditer(text):
        written = match[0]
        gap = text[end : match.start()]
        folded = written.casefold()
        if folded in _PLUS and found and found[-1].is_number:
            folded = "+"
        found.append(
            _Atom(
                folded,
                match.start(),
                match.end(),
                not gap and bool(found),
                not gap.strip("-‐‑–_") and bool(found),
                written[0].isupper(),
            )
        )
        end = match.end()
    return found


def _normalised(text: str) -> str:
    """Of the same length wherever this can be, so that places stay places; a possessive is no part of a name."""
    folded = "".join(
        wide if len(wide := unicodedata.normalize("NFKC", character)) == 1 else character for character in text
    )
    return _POSSESSIVE.sub(lambda match: " " * len(match[0]), folded)


def _common_atoms(names: Sequence[tuple[str, Sequence[_Atom]]]) -> tuple[frozenset[str], frozenset[str]]:
    """Letters and characters in the names of most products, a brand for example, and those in the names of all."""
    of_products: dict[str, set[str]] = {}
    for product, atoms in names:
        of_products.setdefault(product, set()).update(atom.text for atom in atoms if not atom.is_number)
    holding = Counter(atom for atoms in of_products.values() for atom in atoms)
    most = max(2, len(of_products) // 2 + 1)
    common = frozenset(atom for atom, count in holding.items() if count >= most)
    return common, frozenset(atom for atom in common if holding[atom] == len(of_products))


def _own_atoms(atoms: Sequence[_Atom], in_most: frozenset[str], in_all: frozenset[str]) -> tuple[bool, ...]:
    """Of each atom whether it tells the product from others. A name of nothing but common words needs all of them."""
    for common in (in_most, in_all):
        own = tuple(_is_of_code(atoms, place) or atom.text not in common for place, atom in enumerate(atoms))
        if any(own):
            return own
    return (True,) * len(atoms)


def _is_of_code(atoms: Sequence[_Atom], place: int) -> bool:
    """Whether it is part of a number, as "LT" of LT-300 is, however many products begin with it."""
    following = atoms[place + 1] if place + 1 < len(atoms) else None
    return following is not None and following.is_number and following.is_joined


def _judged(
    matched: Sequence[_Atom], atoms: Sequence[_Atom], end: int, name: _Name, place: int
) -> tuple[Closeness, bool] | None:
    """How well the matched atoms name the product, and how surely; None when they do not."""
    own = name.own[place : place + len(matched)]
    if not any(own):
        return None  # a brand alone
    rest = [*name.own[:place], *name.own[place + len(matched) :]]
    is_whole = not any(rest)
    following = atoms[end] if end < len(atoms) else None
    is_cut = following is not None and following.is_glued and not following.is_chinese and not matched[-1].is_chinese
    has_code = _has_code(matched)
    if is_cut:
        # "S10e" where there is an S10 and no S10e: near. "S100" is another number altogether.
        is_variant = has_code and matched[-1].is_number and _is_suffix(atoms, end)
        return (Closeness.NEAR, False) if is_whole and is_variant else None
    if has_code:
        return (Closeness.WHOLE if is_whole else Closeness.PART), True
    if len(matched) == 1:
        return _judged_alone(matched[0], is_whole, len(name.atoms))
    if all(atom.is_chinese for atom in matched):
        if is_whole or len(matched) >= _SHORT_CHINESE:
            return (Closeness.WHOLE if is_whole else Closeness.PART), len(matched) >= _SHORT_CHINESE
        return None
    if any(atom.is_number for atom in matched) and any(atom.is_letters for atom in matched):
        return None if _is_accident(matched) else ((Closeness.WHOLE if is_whole else Closeness.PART), True)
    if is_whole or not all(own):
        return (Closeness.WHOLE if is_whole else Closeness.PART), is_whole
    return None


def _judged_alone(atom: _Atom, is_whole: bool, atoms_of_name: int) -> tuple[Closeness, bool] | None:
    if not is_whole:
        return None
    if atom.is_number:
        is_number = len(atom.text) >= 4 and not _YEAR.fullmatch(atom.text)
        return (Closeness.WHOLE, False) if is_number else None
    if atoms_of_name == 1 and len(atom.text) >= _ONE_WORD:
        return Closeness.WHOLE, False
    return None


def _has_code(matched: Sequence[_Atom]) -> bool:
    """Whether letters run straight into a number: S10, LT-300, Note10, "LT 300"; not "5G", and not "a 50"."""
    for before, after in pairwise(matched):
        if not (before.is_letters and after.is_number):
            continue
        if after.is_joined or len(before.text) > 1 or (before.is_capital and before.text not in "ai"):
            return True
    return False


def _is_accident(matched: Sequence[_Atom]) -> bool:
    """Whether they are nothing but single letters and numbers, apart from each other: "a 50 percent"."""
    return all(atom.is_number or atom.text == "+" or len(atom.text) == 1 for atom in matched)


def _is_suffix(atoms: Sequence[_Atom], end: int) -> bool:
    """A plus, or a letter or two, and nothing glued behind."""
    suffix = atoms[end]
    behind = atoms[end + 1] if end + 1 < len(atoms) else None
    return _may_end_a_name(suffix) and not (behind is not None and behind.is_glued and not behind.is_chinese)


def _may_end_a_name(atom: _Atom) -> bool:
    return atom.text == "+" or (atom.is_letters and len(atom.text) <= 2)
