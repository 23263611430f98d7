"""How a message is worded: its words and pieces of words, and which intent's they are.

Owns how texts are taken apart and compared with what was learnt. Learns with scikit-learn and keeps of it what it takes
to judge one short text: scikit-learn's own way there costs ten times as much. Knows no vectors of meaning.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_union
from sklearn.svm import LinearSVC

from rag.chinese import simplified

Matrix = NDArray[np.float64]

_C = 0.3
_SHARPNESS = 4.0
"""Margins are made probabilities by a softmax this sharp. Both were chosen on clinc150's validation split."""

_LOOKED_AT = 600
"""Characters of a text that count."""

_MANY = 1000
"""From so many examples on, pieces of words that occur once are left out: they cost memory and tell nothing."""


class Wording:
    """Linear support vectors over TF-IDF. Trained when made. Safe for threads."""

    def __init__(self, texts: Sequence[str], labels: NDArray[np.str_]) -> None:
        """`labels` are the classes of the texts, of which there are two at least."""
        plain = [_plain(text) for text in texts]
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+")
        pieces = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2 if len(texts) > _MANY else 1
        )
        features = make_union(words, pieces).fit_transform(plain)
        weights, self._bias = one_row_a_class(LinearSVC(C=_C, random_state=0).fit(features, labels))
        of_words, of_pieces = np.split(weights.T, [len(words.vocabulary_)])
        self._views = (_View(words, of_words), _View(pieces, of_pieces))

    def probabilities(self, texts: Sequence[str]) -> Matrix:
        """[texts, classes], the classes in the order of their names."""
        plain = [_plain(text) for text in texts]
        margins = np.array([sum(view.margins(text) for view in self._views) for text in plain]) + self._bias
        return softmax(_SHARPNESS * margins)


class _View:
    """What a fitted vectorizer and the weights of its features make of one text."""

    def __init__(self, fitted: TfidfVectorizer, weights: Matrix) -> None:
        self._grams: Callable[[str], Iterable[str]] = fitted.build_analyzer()
        self._column: dict[str, int] = fitted.vocabulary_
        self._idf = fitted.idf_.astype(np.float32)
        self._weights = np.ascontiguousarray(weights, np.float32)

    def margins(self, text: str) -> NDArray[np.float32]:
        """[classes]: `TfidfVectorizer.transform` with `sublinear_tf`, then the weights."""
        found = (self._column.get(gram) for gram in self._grams(text))
        counts = Counter(column for column in found if column is not None)
        columns = np.fromiter(counts.keys(), np.intp, len(counts))
        values = (1 + np.log(np.fromiter(counts.values(), np.float32, len(counts)))) * self._idf[columns]
        length = float(np.linalg.norm(values))
        margins: NDArray[np.float32] = (values / length if length else values) @ self._weights[columns]
        return margins


def _plain(text: str) -> str:
    """Both writings of Chinese as one, small letters, one gap. Of long texts the beginning."""
    return simplified(" ".join(text[:_LOOKED_AT].split())).casefold()


def one_row_a_class(model: LogisticRegression | LinearSVC) -> tuple[Matrix, Matrix]:
    """Weights [classes, features] and biases [classes]. Of two classes scikit-learn keeps the second one's only."""
    if len(model.classes_) == 2:
        return np.vstack([np.zeros_like(model.coef_), model.coef_]), np.append([0.0], model.intercept_)
    return model.coef_, model.intercept_


def softmax(scores: Matrix) -> Matrix:
    """By row."""
    raised = np.exp(scores - scores.max(1, keepdims=True))
    result: Matrix = raised / raised.sum(1, keepdims=True)
    return result
