"""Who answers a message: the manuals, a flow, a few words, a person, or nobody.

Owns the order in which that is decided and what an intent leads to. When in doubt the manuals decide: what is no
intent's is a question to them, never refused. Does not know how the handlers answer, nor what a conversation already
is in the middle of (`app.service.desk`).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from app.models import KnowledgeBase
from app.service.routing.example import OUTSIDE
from app.service.routing.signals import signal_in
from app.service.routing.trained import TrainedClassifiers
from app.service.settings import IntentRule, ServiceSettings
from app.service.turn import FAILURES, Handler, HandOffReason, HandOffWanted
from rag.answerers.small_talk import SmallTalk, small_talk_in, small_talk_reply
from rag.chain import normalised
from rag.guard.judge import InjectionGuard
from rag.language import Language
from rag.types import Vector

ACCEPTED_FROM = 0.25
"""The probability from which a message is an intent's; `benchmarks.intents` prints what other values would do."""

_ALTERNATIVES = 3
_LEAST_ALTERNATIVE = 0.01

_ABUSES_BEFORE_HAND_OFF = 1
"""So many failures make an insult one that a person should hear."""

_ABUSIVE: Mapping[Language, str] = {
    "en": "Is abusive after an answer that found nothing.",
    "zh": "没有找到答案之后出言不逊。",
}
_BEFORE_FLOWS = frozenset((HandOffReason.ASKED_FOR, HandOffReason.SENSITIVE))
"""Not anger: why something is sent back may be told angrily, and is an answer all the same."""

_GOES_TO_PEOPLE: Mapping[str, HandOffReason] = {
    "talk_to_person": HandOffReason.ASKED_FOR,
    "complaint": HandOffReason.ANGER,
    "data_privacy": HandOffReason.SENSITIVE,
}
"""Intents that people take where the settings say nothing and there is no flow."""


class Why(StrEnum):
    """What a decision rests on."""

    INTENT = "intent"
    NO_INTENT = "no_intent"
    NOTHING_SET = "nothing_set"  # an intent, but nothing is to be done about it
    SMALL_TALK = "small_talk"
    ABUSE = "abuse"
    INJECTION = "injection"
    SIGNAL = "signal"
    FAILURES = "failures"


@dataclass(frozen=True, slots=True)
class Routing:
    """A decision. `intent` is the accepted one; `alternatives` are the others that were likely, most likely first.

    `confidence`, 0 to 1: the probability of what was decided, 1 where a rule decided. `reply` is what is said, by
    language; `flow` the one to begin; `hand_off` set where a person is wanted.
    """

    handler: Handler
    intent: str | None = None
    confidence: float = 1.0
    reason: str = Why.NO_INTENT
    alternatives: tuple[tuple[str, float], ...] = ()
    flow: str | None = None
    hand_off: HandOffWanted | None = None
    reply: Mapping[Language, str] | None = None

    def details(self) -> dict[str, object]:
        """What is kept with the message, for agents."""
        return {
            "handler": self.handler.value,
            "intent": self.intent,
            "confidence": round(self.confidence, 3),
            "reason": str(self.reason),
            "alternatives": [[intent, round(confidence, 3)] for intent, confidence in self.alternatives],
        }


class Router:
    """Safe for threads. The first message of a knowledge base may wait some seconds for its classifier."""

    def __init__(
        self,
        classifiers: TrainedClassifiers,
        flow_names: Callable[[], Collection[str]] = tuple,
        guard: InjectionGuard | None = None,
    ) -> None:
        self._classifiers = classifiers
        self._flow_names = flow_names
        self._guard = guard or InjectionGuard()

    def prepare(self, knowledge_base: KnowledgeBase) -> None:
        """Trains the classifier, so that no message has to wait for it, and lets it follow the manuals."""
        self._classifiers.follow(knowledge_base)

    def route(
        self,
        text: str,
        *,
        knowledge_base: KnowledgeBase,
        state: Mapping[str, object],
        vector_of: Callable[[str], Vector],
    ) -> Routing:
        """`state` is the conversation's; `vector_of` embeds a text as a question with the knowledge base's embedder."""
        asked = normalised(text)
        settings = ServiceSettings.model_validate(knowledge_base.settings.get("service") or {})
        said = self._said_outright(asked, state)
        if said is not None:
            return said
        vector = vector_of(asked)
        found = self._classified(asked, vector, knowledge_base, settings)
        if self._is_injection(asked, vector, knowledge_base) and found.reason == Why.NO_INTENT:
            return Routing(Handler.REFUSAL, reason=Why.INJECTION, alternatives=found.alternatives)
        failures = _failures(state)
        if found.handler is Handler.KNOWLEDGE and failures >= settings.failures_before_hand_off:
            wanted = HandOffWanted(HandOffReason.REPEATED_FAILURE, note=_found_nothing(failures))
            return replace(found, handler=Handler.HAND_OFF, confidence=1.0, reason=Why.FAILURES, hand_off=wanted)
        return found

    def person_asked_for(self, text: str) -> Routing | None:
        """Set where a message says outright that a person is wanted or needed, whatever else it says."""
        signal = signal_in(normalised(text))
        if signal is None or signal.reason not in _BEFORE_FLOWS:
            return None
        return Routing(Handler.HAND_OFF, reason=Why.SIGNAL, hand_off=HandOffWanted(signal.reason, note=signal.note))

    def _said_outright(self, text: str, state: Mapping[str, object]) -> Routing | None:
        small_talk = small_talk_in(text)
        if small_talk is SmallTalk.ABUSE and _failures(state) >= _ABUSES_BEFORE_HAND_OFF:
            wanted = HandOffWanted(HandOffReason.ANGER, note=_ABUSIVE)
            return Routing(Handler.HAND_OFF, reason=Why.ABUSE, hand_off=wanted)
        if small_talk is not None:
            reply: dict[Language, str] = {
                "en": small_talk_reply(small_talk, "en"),
                "zh": small_talk_reply(small_talk, "zh"),
            }
            if small_talk is SmallTalk.ABUSE:
                return Routing(Handler.REFUSAL, reason=Why.ABUSE, reply=reply)
            return Routing(Handler.CHAT, reason=Why.SMALL_TALK, reply=reply)
        signal = signal_in(text)
        if signal is None:
            return None
        return Routing(Handler.HAND_OFF, reason=Why.SIGNAL, hand_off=HandOffWanted(signal.reason, note=signal.note))

    def _is_injection(self, text: str, vector: Vector, knowledge_base: KnowledgeBase) -> bool:
        known = knowledge_base.generation.embedder == self._guard.embedder
        return self._guard.judge(text, vector if known else None).is_injection

    def _classified(
        self, text: str, vector: Vector, knowledge_base: KnowledgeBase, settings: ServiceSettings
    ) -> Routing:
        likely = self._classifiers.of(knowledge_base).classify(text, vector)
        intents = [(intent, confidence) for intent, confidence in likely if intent != OUTSIDE]
        others = [each for each in intents if each[1] >= _LEAST_ALTERNATIVE]
        if not intents or intents[0][1] < ACCEPTED_FROM:
            outside = 1 - sum(confidence for _, confidence in others[:1])
            return Routing(Handler.KNOWLEDGE, confidence=outside, alternatives=tuple(others[:_ALTERNATIVES]))
        intent, confidence = intents[0]
        alternatives = tuple(others[1 : 1 + _ALTERNATIVES])
        return self._done_about(Routing(Handler.KNOWLEDGE, intent, confidence, Why.INTENT, alternatives), settings)

    def _done_about(self, found: Routing, settings: ServiceSettings) -> Routing:
        """What the settings say of the intent; else a flow of its name; else people, or the manuals."""
        assert found.intent is not None
        rule = settings.intents.get(found.intent, IntentRule.model_validate({}))
        names = self._flow_names()
        allowed = names if settings.flows is None else [name for name in names if name in settings.flows]
        reason = _GOES_TO_PEOPLE.get(found.intent)
        if rule.reply is not None:
            return replace(found, handler=Handler.CHAT, reply=rule.reply)
        if rule.hand_off is not None:
            wanted = HandOffWanted(reason or HandOffReason.ASKED_FOR, rule.hand_off, _intent_note(found.intent))
            return replace(found, handler=Handler.HAND_OFF, hand_off=wanted)
        flow = rule.flow or found.intent
        if flow in allowed:
            return replace(found, handler=Handler.FLOW, flow=flow)
        if reason is not None:
            wanted = HandOffWanted(reason, note=_intent_note(found.intent))
            return replace(found, handler=Handler.HAND_OFF, hand_off=wanted)
        return replace(found, reason=Why.NOTHING_SET)


def _found_nothing(failures: int) -> Mapping[Language, str]:
    return {"en": f"{failures} answers in a row found nothing.", "zh": f"连续 {failures} 次没有找到答案。"}


def _intent_note(intent: str) -> Mapping[Language, str]:
    return {"en": f"Intent: {intent}.", "zh": f"意图：{intent}。"}


def _failures(state: Mapping[str, object]) -> int:
    failures = state.get(FAILURES, 0)
    return failures if isinstance(failures, int) else 0
