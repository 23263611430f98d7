"""How well messages find their handler: `python -m benchmarks.intents DATA`.

DATA holds clinc150 (data_full.json) and the sets of `benchmarks.question_sets`. Prints:

- clinc150 with all examples and with ten an intent: in-scope accuracy (accepted and right) and the share of messages
  out of scope that are refused, at one threshold that the validation split chose, beside logistic regression on the
  vectors alone
- our own 20 service intents: utterances that are no example of theirs, English and Chinese, and questions to manuals
  that sound like them
- questions of manuals and encyclopedias that were routed away from the manuals, every intent having a flow: in a
  knowledge base without documents and in that of the manuals, and what the latter does to the utterances
- time a message beyond its vector
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from app.db import Database
from app.models import Document as DocumentRow
from app.models import Generation, KnowledgeBase, PassageVectors
from app.models import Passage as PassageRow
from app.passages import pack_vectors
from app.service.routing.classifier import ExampleVectors, IntentClassifier
from app.service.routing.example import OUTSIDE, Example, with_names
from app.service.routing.examples import built_in_examples
from app.service.routing.router import Router, Routing
from app.service.routing.trained import TrainedClassifiers
from app.service.turn import Handler
from benchmarks.question_sets import EmbeddedSet, default_embedder, load_sets
from ingestion.chunker import CHUNKER_VERSION
from migrations import upgrade
from model_runtime.embedder import Embedder
from rag.types import Passage, Vector, Vectors

UTTERANCES = Path(__file__).parent / "service_utterances.yaml"

RIGHT_ON_VALIDATION = 0.96
"""The threshold refuses as much as it can while this share of validation's in-scope messages is accepted and right."""

FEW = 10
DRAWS = 5
RESAMPLED = 2000
TIMED = 500
ACCEPTING = (0.15, 0.2, 0.25, 0.3, 0.4)

Matrix = NDArray[np.float64]
Rows = list[tuple[str, str]]
_Routed = tuple[str, str, Routing]
Model = Callable[[Rows], tuple[list[str], Matrix]]
"""The intents, and how likely each is for each message, [messages, intents]."""


@dataclass(frozen=True)
class Judged:
    """Of a split: whether the likeliest intent of each in-scope message is right, its score, and the others' scores."""

    right: NDArray[np.bool_]
    scores: Matrix
    outside: Matrix

    def at(self, threshold: float) -> tuple[Matrix, Matrix]:
        """By message: accepted and right in scope, refused out of scope."""
        return (self.right & (self.scores >= threshold)).astype(float), (self.outside < threshold).astype(float)

    def threshold(self) -> float:
        """The highest that leaves `RIGHT_ON_VALIDATION`; 0 where none does."""
        wanted = int(np.ceil(RIGHT_ON_VALIDATION * len(self.right)))
        scores = np.sort(self.scores[self.right])[::-1]
        return float(scores[wanted - 1]) if len(scores) >= wanted else 0.0


class Clinc:
    """clinc150: messages with their labels by split, and their vectors, which are kept in a file: they take minutes."""

    def __init__(self, folder: Path, embedder: Embedder, kept: Path) -> None:
        content = json.loads((folder / "data_full.json").read_text(encoding="utf-8"))
        self.rows: dict[str, Rows] = {split: [(text, label) for text, label in rows] for split, rows in content.items()}
        texts = sorted({text for rows in self.rows.values() for text, _ in rows})
        self._index = {text: index for index, text in enumerate(texts)}
        self._embedder = embedder
        file = kept / f"clinc150-{embedder.identity}.npz"
        if not file.exists():
            kept.mkdir(parents=True, exist_ok=True)
            questions = np.stack([embedder.embed_question(text) for text in texts])
            np.savez(file, questions=questions, passages=embedder.embed_passages(texts))
        with np.load(file) as vectors:
            self._questions, self._passages = vectors["questions"], vectors["passages"]

    def vectors(self, rows: Rows) -> ExampleVectors:
        chosen = [self._index[text] for text, _ in rows]
        return ExampleVectors(self._questions[chosen], self._passages[chosen])

    def ours(self, rows: Rows) -> Model:
        examples = [Example(text, OUTSIDE if label == "oos" else label) for text, label in rows]
        learnt = with_names(examples)
        vectors, names = self.vectors(rows), [example.text for example in learnt[len(examples) :]]
        if names:
            asked = np.stack([self._embedder.embed_question(name) for name in names])
            said = self._embedder.embed_passages(names)
            vectors = ExampleVectors(np.vstack([vectors.questions, asked]), np.vstack([vectors.passages, said]))
        trained = IntentClassifier(learnt, vectors)
        return lambda asked: (
            list(trained.intents),
            trained.probabilities([text for text, _ in asked], self.vectors(asked).questions),
        )

    def vectors_alone(self, rows: Rows) -> Model:
        questions = self.vectors(rows).questions
        mean, deviation = questions.mean(0), questions.std(0)
        trained = LogisticRegression(C=0.02, max_iter=100)
        trained.fit((questions - mean) / deviation, [label for _, label in rows])
        return lambda asked: (
            trained.classes_.tolist(),
            trained.predict_proba((self.vectors(asked).questions - mean) / deviation),
        )

    def few(self, seed: int) -> Rows:
        """`FEW` training examples of each intent, drawn, and the 100 out of scope."""
        generator = np.random.default_rng(seed)
        by_label: dict[str, Rows] = {}
        for row in self.rows["train"]:
            by_label.setdefault(row[1], []).append(row)
        drawn = [rows[index] for rows in by_label.values() for index in generator.choice(len(rows), FEW, replace=False)]
        return drawn + self.rows["oos_train"]

    def judge(self, model: Model, split: str) -> Judged:
        intents, scores = likeliest(model, self.rows[split])
        right = [intent == label for intent, (_, label) in zip(intents, self.rows[split], strict=True)]
        return Judged(np.array(right), scores, likeliest(model, self.rows[f"oos_{split}"])[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "answerdesk")
    arguments = parser.parse_args()
    embedder = default_embedder(arguments.cache)
    clinc = Clinc(arguments.data / "clinc150", embedder, arguments.cache / "vectors")
    all_examples(clinc)
    few_examples(clinc)
    with tempfile.TemporaryDirectory() as folder:
        desk = BuiltIn(embedder, Path(folder))
        utterances(desk)
        for each in load_sets(arguments.data):
            manuals(desk, EmbeddedSet(each, embedder, arguments.cache / "vectors"))
        timed(desk)


def likeliest(model: Model, rows: Rows) -> tuple[list[str], Matrix]:
    """The likeliest intent of each message, never `OUTSIDE`, and how likely it is."""
    intents, probabilities = model(rows)
    inside = [column for column, intent in enumerate(intents) if intent != OUTSIDE]
    return [intents[inside[best]] for best in probabilities[:, inside].argmax(1)], probabilities[:, inside].max(1)


def all_examples(clinc: Clinc) -> None:
    train, outside = clinc.rows["train"], clinc.rows["oos_train"]
    started = time.perf_counter()
    models = {"ours": clinc.ours(train + outside)}
    took = time.perf_counter() - started
    print(f"clinc150, {len(train)} examples and {len(outside)} out of scope, trained in {took:.1f} s", flush=True)
    models["vectors alone"] = clinc.vectors_alone(train)
    found: dict[str, tuple[Matrix, Matrix]] = {}
    for name, model in models.items():
        validation, test = clinc.judge(model, "val"), clinc.judge(model, "test")
        threshold = validation.threshold()
        chosen = [f"{values.mean():.1%}" for values in validation.at(threshold)]
        right, refused = found[name] = test.at(threshold)
        print(
            f"  {name}: accepted and right {interval(right)}, out of scope refused {interval(refused)}"
            f" at {threshold:.3f} (validation {chosen[0]} and {chosen[1]});"
            f" right without a threshold {test.right.mean():.1%}",
            flush=True,
        )
    right, refused = (ours - alone for ours, alone in zip(found["ours"], found["vectors alone"], strict=True))
    print(f"  difference: accepted and right {interval(right)}, out of scope refused {interval(refused)}", flush=True)


def few_examples(clinc: Clinc) -> None:
    found: dict[str, list[float]] = {"ours": [], "vectors alone": []}
    for seed in range(DRAWS):
        rows = clinc.few(seed)
        models = {"ours": clinc.ours(rows), "vectors alone": clinc.vectors_alone(rows[: -len(clinc.rows["oos_train"])])}
        for name, model in models.items():
            found[name].append(float(clinc.judge(model, "test").right.mean()))
    print(f"clinc150, {FEW} examples an intent, {DRAWS} draws, in-scope accuracy without a threshold")
    for name, values in found.items():
        print(f"  {name}: {np.mean(values):.1%} ({min(values):.1%} to {max(values):.1%})", flush=True)


def interval(values: Matrix) -> str:
    """The mean, with the middle 95% of means when the messages are drawn again, with replacement."""
    generator = np.random.default_rng(0)
    means = [values[generator.integers(0, len(values), len(values))].mean() for _ in range(RESAMPLED)]
    low, high = np.quantile(means, (0.025, 0.975))
    return f"{values.mean():.1%} ({low:.1%} to {high:.1%})"


class BuiltIn:
    """A router with the built-in intents, each of which has a flow: the hardest case for questions to the manuals."""

    def __init__(self, embedder: Embedder, folder: Path) -> None:
        address = f"sqlite:///{folder / 'intents.db'}"
        upgrade(address)
        self._embedder = embedder
        self._database = Database(address)
        self.intents = {example.intent for example in built_in_examples()} - {OUTSIDE}
        self.router = Router(TrainedClassifiers(self._database, lambda _: embedder), lambda: self.intents)
        self.empty = self.knowledge_base("empty", ())
        self.prepared_in = self.prepare(self.empty)

    def knowledge_base(self, name: str, passages: Iterable[tuple[Passage, Vectors]]) -> KnowledgeBase:
        """With these passages, as ingestion would have stored them."""
        generation = Generation(
            id=name,
            knowledge_base_id=name,
            embedder=self._embedder.identity,
            dimension=self._embedder.dimension,
            chunker_version=CHUNKER_VERSION,
        )
        with self._database.write() as session:
            session.add(KnowledgeBase(id=name, name=name, generation_id=name, settings={"service": {}}))
            session.flush()
            session.add(generation)
            keys: dict[int, int] = {}
            for passage, vectors in passages:
                if passage.document_key not in keys:
                    document = DocumentRow(
                        knowledge_base_id=name, external_id=str(passage.document_key), title=passage.title
                    )
                    session.add(document)
                    session.flush()
                    keys[passage.document_key] = document.key
                row = PassageRow(
                    knowledge_base_id=name,
                    generation_id=name,
                    document_key=keys[passage.document_key],
                    added_change=1,
                    ordinal=passage.ordinal,
                    heading_path=list(passage.heading_path),
                    spans=[],
                    windows=[list(window) for window in passage.windows],
                    text=passage.text,
                )
                session.add(row)
                session.flush()
                session.add(PassageVectors(passage_key=row.key, vectors=pack_vectors(vectors)))
        with self._database.read() as session:
            return session.get_one(KnowledgeBase, name)

    def prepare(self, knowledge_base: KnowledgeBase) -> float:
        """The seconds until the next message is routed by all that there is to learn."""
        started = time.perf_counter()
        self.router.prepare(knowledge_base)
        return time.perf_counter() - started

    def route(
        self, text: str, knowledge_base: KnowledgeBase | None = None, vector: Vector | None = None
    ) -> tuple[Routing, float, float]:
        """The decision, and the milliseconds that it took and that this thread computed, the vector given."""
        known = self._embedder.embed_question(text) if vector is None else vector
        started, computing = time.perf_counter(), time.thread_time()
        found = self.router.route(
            text, knowledge_base=knowledge_base or self.empty, state={}, vector_of=lambda _: known
        )
        return found, (time.perf_counter() - started) * 1000, (time.thread_time() - computing) * 1000


def utterances(desk: BuiltIn) -> None:
    taught = {example.text for example in built_in_examples()}
    asked = yaml.safe_load(UTTERANCES.read_text(encoding="utf-8"))
    print(f"20 service intents, {len(taught)} examples, embedded and trained in {desk.prepared_in:.1f} s")
    for language in ("en", "zh"):
        messages = [(text, intent) for intent, texts in asked.items() for text in texts[language]]
        assert not taught & {text for text, _ in messages}, "an utterance is an example"
        away, wrong = shares(f"  {language}", [(text, intent, desk.route(text)[0]) for text, intent in messages])
        for text, _, found in away:
            print(f"      away: {text!r} to {found.handler} {found.intent or found.reason} {found.confidence:.2f}")
        for text, intent, found in wrong:
            print(f"      wrong: {text!r} ({intent}) to {found.handler} {found.intent or found.reason}")


def shares(what: str, routed: Sequence[_Routed]) -> tuple[Sequence[_Routed], Sequence[_Routed]]:
    """Prints them; which messages to the manuals were routed away, and which others were misunderstood."""
    inside = [each for each in routed if each[1] != OUTSIDE]
    right = sum(is_right(intent, found) for _, intent, found in inside)
    kept = sum(not is_away(found) for _, _, found in inside)
    away = [each for each in routed if each[1] == OUTSIDE and is_away(each[2])]
    print(
        f"{what}: right {right / len(inside):.1%} of {len(inside)}, left to the manuals {kept},"
        f" wrong {len(inside) - right - kept};"
        f" like them but for the manuals: {len(away)} of {len(routed) - len(inside)} routed away"
    )
    return away, [each for each in inside if is_away(each[2]) and not is_right(each[1], each[2])]


def is_right(intent: str, found: Routing) -> bool:
    """A signal that calls a person is right for what people take anyway."""
    to_people = found.handler is Handler.HAND_OFF and intent in ("talk_to_person", "complaint")
    return found.handler is not Handler.KNOWLEDGE and (found.intent == intent or to_people)


def is_away(found: Routing) -> bool:
    return found.handler is not Handler.KNOWLEDGE


def manuals(desk: BuiltIn, embedded: EmbeddedSet) -> None:
    texts = [asked.text for asked in embedded.set.questions]
    vectors = [np.array(embedded.embeddings.embed_query(text), np.float32) for text in texts]
    filled = desk.knowledge_base(embedded.set.name, embedded.with_vectors())
    took = desk.prepare(filled)
    print(f"{embedded.set.name}: {len(texts)} questions; what its manuals speak of learnt in {took:.1f} s")
    for name, knowledge_base in (("without documents", desk.empty), ("with its own", filled)):
        routed = [
            (text, desk.route(text, knowledge_base, vector)[0]) for text, vector in zip(texts, vectors, strict=True)
        ]
        away = [(text, found) for text, found in routed if is_away(found)]
        to = Counter(found.intent or str(found.reason) for _, found in away)
        accepted = [best_of(found) for _, found in routed]
        at = ", ".join(f"{np.mean([best >= least for best in accepted]):.2%} at {least}" for least in ACCEPTING)
        print(f"  {name}: routed away {len(away)} ({len(away) / len(routed):.2%}) {dict(to)}")
        print(f"      an intent's probability is at least so high for {at}", flush=True)
        for text, found in away[:10] if knowledge_base is filled else ():
            print(f"      {text!r} to {found.handler} {found.intent or found.reason} {found.confidence:.2f}")
    asked = yaml.safe_load(UTTERANCES.read_text(encoding="utf-8"))
    messages = [(text, intent) for intent, by in asked.items() for texts_ in by.values() for text in texts_]
    shares("  utterances with its own", [(text, intent, desk.route(text, filled)[0]) for text, intent in messages])


def best_of(found: Routing) -> float:
    """The probability of the likeliest intent, accepted or not."""
    others: Sequence[tuple[str, float]] = found.alternatives
    if found.intent is not None:
        return found.confidence
    return others[0][1] if others else 0.0


def timed(desk: BuiltIn) -> None:
    texts = [example.text for example in built_in_examples()][:TIMED]
    routed = [desk.route(text) for text in texts]
    wall, computing = (np.quantile([each[index] for each in routed], 0.5) for index in (1, 2))
    print(f"beyond the vector, p50: {wall:.2f} ms a message, of which the thread computes {computing:.2f} ms")


if __name__ == "__main__":
    main()
