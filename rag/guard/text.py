"""Whether a sentence of a manual is addressed to a language model: rules for other people's text.

Owns what counts as such. A manual gives orders in every other line ("Press the button", "Ignore this step"), so that
an order alone says nothing here: it must be about answering, or be given to a model by name. Questions are judged
otherwise (`rag.guard.judge`). English and Chinese.
"""

import re

from rag.guard.features import looked_at

_MODEL = (
    r"(?:a\.?i\.?(?: (?:agents?|assistants?|systems?|models?))?|assistants?|chat ?bots?|language models?"
    r"|llms?|virtual assistants?)"
)
_MODEL_ZH = r"(?:人工智能|语言模型|語言模型|聊天机器人|聊天機器人|智能体|大模型|助手|自动阅读程序)"
_SAYING = r"(?:answers?|repl(?:y|ies)|responses?|outputs?|respond|say|print|write|repeat|mention|tell|claim)"

_FORGED = tuple(
    re.compile(rule)
    for rule in (
        # Shapes of a chat's control tokens and of calls; no manual's sentence needs them.
        r"<[|｜][^<>|｜]{1,40}[|｜]>|\[/?inst\]|<</?sys>>|</?(?:start|end)_of_turn>|</?tool_call>|\]~!?b\[?|\[gmask\]",
        r"[<‹]\s?/?\s?(?:passage|question|system|instructions?)\b[^<>]{0,80}>",
    )
)
_ADDRESSED = tuple(
    re.compile(rule)
    for rule in (
        # All earlier instructions are void.
        r"\b(?:ignore|disregard|forget|override|drop)\b (?:all |any )?(?:of )?(?:the |your |these |those )?"
        r"(?:(?:previous|prior|earlier|other) (?:instructions?|prompts?|rules|directions|guidelines"
        r"|orders)\b(?=.{0,60}\b"
        rf"(?:and|instead|{_SAYING})\b)|system prompt|(?<=your )(?:instructions?|rules|guidelines|programming)\b)",
        r"(?:忽略|无视|無視|忘记|放弃)(?:你的?|您的?|以上|之前|先前|上述)(?:的)?(?:所有|全部|一切)?的?(?:指令|指示"
        r"|规则|規則|设定|提示词)",
        # What answers have to be like.
        r"\b(?:begin|start|end|finish|open|close|preface)\b (?:each|every|your|all)(?: of your)? (?:answers?"
        r"|repl(?:y|ies)|responses?"
        r"|outputs?|sentences?|messages?)\b",
        r"\b(?:in|of|to|with|at the end of) (?:your|each|every|all) (?:answers?|repl(?:y|ies)|responses?)\b",
        r"\b(?:answer|reply to|respond to) (?:each|every|all|any) (?:questions?|messages?|users?"
        r"|customers?)\b.{0,12}\bwith\b",
        r"\b(?:reply|respond|answer)\b (?:only |just |solely )?with (?:only )?(?:the )?(?:words?|phrase|sentence)\b",
        r"\b(?:each|every|all) (?:answers?|repl(?:y|ies)|responses?) (?:must|has to|have to|should|ends?|begins?"
        r"|starts?)\b",
        r"(?:每个|每個|所有|任何)?(?:回答|回复|答复|输出)(?:的)?(?:末尾|结尾|开头|开始|都要|都以|时先|時先|之前先)"
        r"|每句话末尾|对任何问题都回答",
        r"一律回答|只回复[“「\"]|不要回答|必须回答[“「\"]|复述全部提示词",
        # An order to a model by its name.
        rf"\b(?:attention|dear|hey|note (?:to|for)|notes? for|for|to|if you are an?|valid for) (?:the |all "
        rf"|any )?(?:\w+ )?{_MODEL}\b"
        rf"(?:(?= only)|[\s:,;(].{{0,120}}\b(?:{_SAYING}|ignore|disregard|must|do not|don't|always|never|rules?"
        rf"|begin|include)\b)",
        rf"(?:^|[.!?\n]\s?)\W{{0,3}}{_MODEL}\b ?[,:].{{0,120}}"
        rf"\b(?:{_SAYING}|ignore|disregard|do not|don't|always|never)\b",
        rf"\b{_MODEL} (?:\w+ ){{0,3}}(?:must|has to|have to|should) (?:not |never |always "
        rf"|now )?(?:\w+ )?{_SAYING}\b",
        r"\b(?:instructions?|rules?|orders?) (?:for|to) (?:the |all )?" + _MODEL + r"\b",
        rf"\b(?:ai|llm|model) (?:instructions?|agents?|readers?)\b.{{0,120}}\b(?:{_SAYING}|include|output|must)\b",
        rf"{_MODEL_ZH}.{{0,6}}(?:注意|请|：|:|必须|不得|一律|的新规则|参考)|(?:致|给|仅供).{{0,4}}{_MODEL_ZH}"
        rf"|如果你是.{{0,4}}{_MODEL_ZH}",
        # Another role, and how it talks.
        r"\b(?:you are|you're) (?:now |no longer )(?:an? |the |captain |called )?\w+.{0,60}\b(?:speak|answer|reply"
        r"|talk|respond|every"
        r" answer)\w*\b|\bspeak like an?\b|\bnow speak like\b",
        r"(?:你现在是|從現在起你是|从现在起你是).{0,30}(?:回答|说话|說話|每个)",
        r"\brules have (?:been updated|changed)\b.{0,80}\b(?:answer|reply|begin|assistant)\b",
        r"\b(?:repeat|print|reveal|output) (?:the |your )?(?:whole |full |text of your )?(?:prompt|system prompt"
        r"|rules for)\b",
        r"\bwhen (?:asked|summari[sz]ing|answering)\b.{0,60}\b(?:always say|ignore|claim|say that|reply)\b",
        r"(?:总结|被问到|回答).{0,12}时.{0,6}(?:忽略|请忽略|一律)",
        r"\bdo not cite\b|\bcall this tool\b|请先调用",
    )
)


def is_addressed_to_model(text: str) -> bool:
    """Whether some order in `text` is meant for a model that reads it. Time is linear in its length."""
    plain = looked_at(text)
    return any(rule.search(plain) for rule in (*_FORGED, *_ADDRESSED))


def has_forged_delimiter(text: str) -> bool:
    """Whether `text` has a delimiter of prompts or a control token of a model, beside which nothing is honest."""
    plain = looked_at(text)
    return any(rule.search(plain) for rule in _FORGED)
