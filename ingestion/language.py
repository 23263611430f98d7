"""Tells the language of a document from its script and its small words.

Owns the scripts that belong to one language, the small words of those that share one, and how simplified and
traditional Chinese are told apart. A text that says too little for that has no language rather than a guessed one.
"""

import re
from collections import Counter
from collections.abc import Mapping
from functools import cache

_LETTER = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"(?<![\w./@+-])[^\W\d_]+(?![\w/@+-]|\.\w)")
"""Not the parts of addresses, names of files and models."""

_CHINESE = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_SCRIPTS: Mapping[str, re.Pattern[str]] = {
    "zh": re.compile(f"[{_CHINESE}]"),
    "ja": re.compile("[\u3041-\u30ff]"),
    "ko": re.compile("[\uac00-\ud7af]"),
    "el": re.compile("[\u0370-\u03ff]"),
    "he": re.compile("[\u05d0-\u05ea]"),
    "th": re.compile("[\u0e01-\u0e5b]"),
}
"""Scripts that one language is written in. Chinese is looked at last: Japanese uses its characters too."""

_SMALL_WORDS: Mapping[str, str] = {
    "en": "the and of to is in for with that this are be on or not you it as if from can by your at an when which a",
    "de": "der die und das den von mit ist im für auf nicht ein eine sie dem zu des werden wird oder bei wenn auch zur",
    "fr": "le la les des et de du un une est pour dans que sur pas vous avec en ou au par sont ne votre cette aux",
    "es": "el los las y de del que en una para con por es no se su al si está puede o este como más la un a",
    "it": "il di che e la per un è non con le una si del della sono nel alla gli o dei da in può dal a se",
    "pt": "o os as e de do da que em um uma para com não é se por no na ao dos das seu ou mais pode a",
    "nl": "de het een en van in is dat op te voor met niet zijn u om aan of wordt bij uw als naar door worden deze",
    "sv": "och att det som en på är av för med den till inte i om ett du har kan när eller din från",
    "da": "og at det en den til er som på de med af for ikke der et du kan fra eller når har din hvis",
    "nb": "og i det som en på er av for med til den ikke å et du kan fra eller når har din hvis ved",
    "fi": "ja on ei se että voit tai kun jos ole ovat mutta sen joka kuin myös voi sekä oli tämä ennen laitteen",
    "pl": "i w na z do nie się jest że to lub po dla przez od za są jak oraz przed przy może aby należy",
    "cs": "a v na se je že s z do o pro to nebo ne jako pokud při po jsou tento za může k není podle",
    "hu": "a az és hogy nem is egy van meg ha vagy ez be ki kell csak el már lehet való majd esetén",
    "ro": "și de la în a cu pe nu este pentru din care că o un sau se dacă al mai prin fi",
    "tr": "ve bir bu için ile da de olarak veya daha olan gibi en sonra değil ne kadar çok her ürün",
    "vi": "và của là các có được cho không trong một với này khi để người bạn hoặc từ những",
    "id": "yang dan di untuk dengan dari ini pada tidak atau ke anda adalah dapat jika akan itu dalam",
    "ru": "и в не на с что для по или из к при это от как если за вы до его а",
    "uk": "і в не на з що для або та до від як при це якщо за ви його є у",
    "bg": "и на за да се от в не с е по или при ако това са като до ви",
    "ar": "في من على إلى أو عن هذا هذه لا أن التي مع عند إذا كان ما",
    "fa": "و در به از که این را با است برای آن یا شود می تا",
}
_LANGUAGES_OF: dict[str, list[str]] = {}
for _language, _words in _SMALL_WORDS.items():
    for _word in set(_words.split()):
        _LANGUAGES_OF.setdefault(_word, []).append(_language)

_FEWEST_LETTERS = 10
_CHINESE_SHARE = 0.15
"""A Chinese character is worth several letters: product names and commands in Latin letters outnumber them."""

_SCRIPT_SHARE = 0.3
_OF_JAPANESE = 0.1
"""Of Japanese writing, more than this share is kana; Chinese texts have them in names at most."""

_SMALL_WORD_SHARE = 0.06
"""Of all words. Sentences have 0.2 and more, manuals full of program text at least 0.1."""


class LanguageCount:
    """What has been seen of a document, page by page. Constant memory but for the small words of each language."""

    def __init__(self) -> None:
        self._letters = 0
        self._words = 0
        self._of_script: Counter[str] = Counter()
        self._small_words: Counter[str] = Counter()
        self._simplified = self._traditional = 0

    def add(self, text: str) -> None:
        words = _WORD.findall(text)
        self._letters += len(_LETTER.findall(text))
        self._words += len(words)
        self._small_words.update(word for word in map(str.lower, words) if word in _LANGUAGES_OF)
        if text.isascii():
            return
        for script, letters in _SCRIPTS.items():
            found = letters.findall(text)
            self._of_script[script] += len(found)
            if script == "zh":
                sides = Counter(map(_side_of, found))
                self._simplified += sides["simplified"]
                self._traditional += sides["traditional"]

    @property
    def language(self) -> str:
        """A code such as "en" or "de", "zh" for simplified and "zh-Hant" for traditional Chinese; "" for unknown."""
        if self._letters < _FEWEST_LETTERS:
            return ""
        if self._of_script["ja"] > _OF_JAPANESE * self._letters:
            return "ja"
        for script in ("ko", "el", "he", "th"):
            if self._of_script[script] > _SCRIPT_SHARE * self._letters:
                return script
        if self._of_script["zh"] > _CHINESE_SHARE * self._letters:
            return "zh-Hant" if self._traditional > self._simplified else "zh"
        return self._by_small_words()

    def _by_small_words(self) -> str:
        """The language that speaks most for itself; none when another does as much, or there are next to no words.

        A word that several languages have speaks the less for each, so that none gains by lying between others.
        """
        counts: Counter[str] = Counter()
        weights: dict[str, float] = dict.fromkeys(_SMALL_WORDS, 0.0)
        for word, count in self._small_words.items():
            for language in _LANGUAGES_OF[word]:
                counts[language] += count
                weights[language] += count / len(_LANGUAGES_OF[word])
        best, second = sorted(weights, key=lambda language: -weights[language])[:2]
        enough = max(2, _SMALL_WORD_SHARE * self._words)
        return best if weights[best] > weights[second] and counts[best] >= enough else ""


@cache
def _side_of(character: str) -> str:
    """Which of the two ways of writing Chinese a character belongs to; "" for those that both have.

    GB 2312 is the character set of simplified texts, Big5 that of traditional ones.
    """
    in_simplified, in_traditional = _has(character, "gb2312"), _has(character, "big5")
    if in_simplified == in_traditional:
        return ""
    return "simplified" if in_simplified else "traditional"


def _has(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
