"""What gives away a text that wants to steer the assistant instead of asking something: its structure, as numbers.

Owns the signs, English and Chinese, and the form in which a text is looked at. Each sign alone stands in honest
questions too ("Can I ignore the warning?"); how much each counts is fitted (`benchmarks.fit_injection_guard`). Knows no
vectors and no thresholds.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Sequence

from rag.language import word_count

_LONG = 0.75
"""The measure of about 40 words, beyond which length tells nothing more: an honest question may be a long story."""

_LOOKED_AT = 8000
"""Characters of a text that are looked at: so many from its beginning, and as many from its end."""

_OWN = (
    r"(?:instructions?|prompts?|rules?|guidelines?|directions?|directives?|commands?|orders?|polic(?:y|ies)"
    r"|constraints?"
    r"|restrictions?|limits?|limitations?|filters?|guardrails?|programming|training|settings?|context|role|task"
    r"|messages?|text|stuff|words|sentences?|guidance|safety|duties|configuration|preamble|persona)"
)
_DROP = (
    r"(?:ignor\w*|disregard\w*|forget\w*|overrid\w*|bypass\w*|overlook\w*|neglect\w*|discard\w*|drop\w*|skip\w*"
    r"|scrap\w*"
    r"|cancel\w*|abandon\w*|unlearn\w*|eras\w*|suspend\w*|disabl\w*|remov\w*|set aside|throw away|pay no attention to"
    r"|(?:do not|don't|stop|no longer|need not|needn't|without) (?:follow\w*|obey\w*|listen\w*(?: to)?|us(?:e|ing))"
    r"|never ?mind|break|lift\w*)"
)
_EARLIER = (
    r"(?:previous|prior|above|earlier|preceding|former|before|past|initial|original|first|beginning|so far"
    r"|top)"
)
_SHOW = (
    r"(?:show|reveal|print|repeat|output|display|tell|give|leak|dump|share|paste|summari[sz]e|translate|list|return"
    r"|write|spell|encode|describe|recite|say|copy|expose|disclose|what (?:is|are|was|were|does)|what's)"
)
_AI = r"(?:a\.?i\.?|assistants?|chat ?bots?|bots?|language models?|llms?|models?|agents?)"
_REPLY = r"(?:repl(?:y|ies)|answers?|respon(?:d|se|ses)|say|outputs?|print|write|sentences?|messages?)"

_ZH = {
    "drop": r"(?:忽略|无视|無視|忘掉|忘记|不要理会|别管|跳过|停止遵守|作废|丢掉|不用遵循|不需要再?遵守|不要遵守"
    r"|清空|撤销|放下|绕过"
    r"|当作不存在|放弃|解除|关闭|拋開|抛开|不要按)",
    "own": r"(?:指令|指示|规则|規則|规定|规矩|设定|設定|提示词|提示詞|限制|准则|要求|角色|任务|過濾|过滤|约束|政策"
    r"|内容)",
    "earlier": r"(?:之前|以上|上面|先前|前面|原来|原來|最初|初始|所有)",
    "show": r"(?:告诉我|告訴我|显示|顯示|输出|輸出|复述|列出|写出|打印|返回|翻译|总结|念出来|是什么|给我看)",
}

_SIGNS: dict[str, str] = {
    "drops_own": rf"\b{_DROP}\b(?:\W+\w+){{0,5}}?\W+(?:your|you|these|those|all|any"
    rf"|its?)\b(?:\W+\w+){{0,4}}?\W+{_OWN}\b"
    rf"|{_ZH['drop']}.{{0,8}}(?:你|您|系统|系統|所有).{{0,8}}{_ZH['own']}",
    "drops_earlier": rf"\b{_DROP}\b(?:\W+\w+){{0,5}}?\W+{_EARLIER}\b"
    rf"|{_ZH['drop']}.{{0,6}}{_ZH['earlier']}.{{0,8}}{_ZH['own']}"
    rf"|{_ZH['earlier']}.{{0,8}}{_ZH['own']}.{{0,8}}{_ZH['drop']}",
    "shows_own": rf"\b{_SHOW}\b(?:\W+\w+){{0,6}}?\W+(?:your|you)\b(?:\W+\w+){{0,5}}?\W+{_OWN}\b"
    rf"|\b(?:your|system|hidden|initial|developer) (?:\w+ ){{0,2}}(?:prompt|instructions|message)\b"
    rf"|(?:你|您).{{0,8}}(?:提示词|提示詞|设定|設定|指令|规则|初始|系统消息).{{0,12}}{_ZH['show']}"
    rf"|{_ZH['show']}.{{0,8}}(?:你|您).{{0,8}}(?:提示词|提示詞|设定|設定|指令|规则|系統訊息|配置)",
    "your_rules": rf"\byour (?:\w+ ){{0,2}}{_OWN}\b|(?:你|您)的?(?:\w{{0,3}})(?:规则|規則|设定|設定|指令|准则|限制"
    rf"|提示词|政策)",
    "no_limits": r"\b(?:no|without(?: any)?|free (?:of|from)(?: all| every| any)?|not bound by|any)\W+(?:\w+\W+){0,2}"
    r"(?:restrictions?|limits?|limitations?|rules?|filters?|censorship|ethic\w*|moral\w*|guidelines?|polic\w+"
    r"|constraints?)\b"
    r"|\b(?:un(?:restricted|filtered|censored|bound|limited)|jailbroken|amoral|evil|rude|obedient)\b"
    r"|(?:没有|不受|无|沒有|解除)(?:任何|一切|所有)?(?:\w{0,4})(?:限制|约束|规则|审查|道德|警告)|邪恶|越狱",
    "persona": r"\b(?:you are|you're|you will be|you'll be) (?:now|no longer|going to|an? (?:ai|actor))\b"
    r"|\bpretend\b|\bact as\b"
    r"|\bact like\b|\brole ?-?play|\bstay in character\b|\bimagine you|\bsimulate\b|\bpersona\b|\bin character\b"
    r"|\bfrom (?:now|here|this moment) on\b|扮演|假装|你现在是|你現在是|从现在(?:开始|起)|想象你|不再是|人格",
    "no_refusal": r"\b(?:do not|don't|never|cannot|can't|no|without) (?:\w+ ){0,2}"
    r"(?:refus\w*|declin\w*|warn\w*|disclaimers?|apologi\w+|say(?:ing)? no)\b|\bcomply\b|\bobey\w*\b"
    r"|\bno matter what\b"
    r"|不(?:要|准|许|能|得)?(?:拒绝|拒絕|警告)|必须服从|从不拒绝|无论.{0,12}都",
    "dictates": rf"\b{_REPLY} (?:\w+ )?(?:only|just|nothing but|exactly|with (?:exactly|only|nothing|the (?:exact )?"
    rf"(?:word|phrase|sentence|letter))|solely|simply)\b|\b(?:only|just) (?:say|reply|respond|output|print)\b"
    rf"|\b(?:start|begin|end|finish|append|add)\w*\b(?:\W+\w+){{0,3}}?\W+(?:your|each|every|all) (?:\w+ )?{_REPLY}\b"
    r"|\bevery (?:answer|reply|response)\b"
    r"|只(?:能|许|准|需)?(?:回答|回复|输出|说)|(?:每个回答|每句话|回答的?末尾|回答之前|回答时|结尾都?)",
    "authority": r"\b(?:developer|debug|maintenance|admin\w*|god|test|sudo|root|opposite day)\W+(?:mode|override"
    r"|access)\b"
    r"|\bi(?:'m| am) (?:\w+ ){0,3}(?:developer|creator|engineer|admin\w*|ceo|owner|programmer)\b|\bauthori[sz]e\w*\b"
    r"|\bsystem (?:update|message|override)\b|\bas the ceo\b|\bverified\b|\bapproved\b"
    r"|(?:开发者|维护|調試|调试|管理员|上帝)模式|我是你的(?:开发者|创造者|主人)|授权你|命令你|系统消息|已解除",
    "new_task": r"\bnew (?:task|instructions?|rules?|polic\w+|plan|prompt|persona|orders?)\b|\bnext task\b"
    r"|\breal question\b"
    r"|\byour (?:new|next|real|actual) \w+|新的?(?:指令|规则|任务|指示|规定)|真正的问题",
    "fake_turn": r"(?m)^[\s>#*_\-=]{0,12}(?:system|user|human|assistant|ai|系统|用户|助手)\b[\s\w]{0,12}[:：#\]]"
    r"|<\|?/?\w{1,20}\|?>|\[/?(?:inst|system|admin)\]|[\"']role[\"']\s*:|={6,}|#{3,}|-{3,}\s*end|【(?:管理员"
    r"|系统)】|```\s*system",
    "encoded": r"\bbase64\b|\brot-?13\b|\\u00[0-9a-f]{2}|(?:\b\w[ \-_.]){6,}\w\b|\b[0-9a-f]{20,}\b|\bbackwards\b"
    r"|\bmorse\b"
    r"|\b[a-z]*[013457][a-z]+[013457][a-z0-9]*\b|\bdecod\w+|解码|倒着",
    "blob": r"(?<![a-zA-Z0-9+/])(?=[a-zA-Z0-9+/]*[a-z])(?=[a-zA-Z0-9+/]*[A-Z0-9])[a-zA-Z0-9+/]{20,}={0,2}",
    "secret": r"\b(?:passwords?|passphrase|secrets?|api keys?|credentials|confidential|access codes?|admin key"
    r"|environment variables)\b"
    r"|密码|密碼|秘密|密钥|内部",
    "bends_output": r"\b(?:your|the|all|every|each|this|an?) (?:\w+ ){0,2}(?:repl(?:y|ies)|responses?|output"
    r"|answers?)\b"
    r"|\b(?:repl(?:y|ies)|responses?|output)\b|\b(?:tell|convince|persuade|ask|make) the (?:user|customer|reader)s?\b"
    r"|(?:回答|回复|输出|告诉用户|让用户)",
    "to_the_model": rf"\b(?:dear|attention|note to|to the|hey|if you are an?|the"
    rf"|hidden note for) (?:\w+ ){{0,2}}{_AI}\b"
    rf"|^{_AI}[,:]|\b{_AI} (?:must|should|will|has to|have to|reading|processing)\b|\ban? (?:\w+ )?(?:ai"
    rf"|language model|chatbot)\b"
    r"|人工智能|语言模型|聊天机器人|智能体|助手",
    "unseen_text": r"\b(?:everything|text|words|all|messages?|lines?)(?: of the)? above\b|\babove this\b"
    r"|\bbefore (?:this|my first|the)"
    r" (?:conversation|message|line|sentence|chat)\b|\b(?:context window|conversation (?:history|so far))\b"
    r"|\b(?:other|last|previous|three) (?:user|customer)(?:s|'s)?\b|上面的全部|第一条消息之前|上一位用户|其他用户",
    "carries_out": r"https?://|\bshell command|!\[|\bfollow the (?:instructions?|order|block)\b"
    r"|\b(?:execute|obey|carry out|act on|do what it says)\b|访问这个网址|执行",
    "turns_round": r"\binstead\b|\bactually,? no\b|\b(?:but|then) (?:first|forget)\b|\bbefore you answer\b"
    r"|\bthen forget\b"
    r"|\band then\b.{0,30}\bignore\b|算了|另外从现在|回答之前",
    "harm": r"\b(?:bombs?|explosives?|meth|ransomware|keylogger|malware|virus|phishing|hack(?:ing|s)? (?:my|into|a"
    r"|someone)"
    r"|counterfeit|launder\w*|poison\w*|weapons?|hotwire|steal\w*|stalk\w*|fake id|forge|napalm|smoke bombs?"
    r"|drug lab|hacker)\b"
    r"|炸药|病毒程序|入侵|破解|撬锁|脏话",
    "asks": r"\b(?:how (?:do|can|should|does|did|are|is|long|often|much|many)|what(?:'s| is| are| does| should)"
    r"|where|which|when"
    r"|why|who|can i|is (?:it|there|this)|are there|does|explain|describe|discuss)\b|[?？]|怎么|如何|什么|吗|哪|多少",
    "about_me": r"\b(?:my|i|i'm|i've|we|our)\b|我",
    "tells_you": r"\b(?:you|your|yourself|you're|ur)\b|你|您",
    "must": r"\b(?:must|have to|has to|now|immediately|always|never|will)\b|必须|现在|一律|永远|都要",
}
_COMPILED = {name: re.compile(sign) for name, sign in _SIGNS.items()}

_MEASURES: dict[str, Callable[[str], float]] = {
    "length": lambda text: min(math.log1p(word_count(text)) / 5, _LONG),
    "lines": lambda text: min(text.count("\n"), 6) / 6,
    "quoted": lambda text: min(sum(c in '"“”「」‘’' for c in text), 4) / 4,
    "odd_signs": lambda text: min(1.0, 6 * sum(not c.isalnum() and not c.isspace() for c in text) / (len(text) + 20)),
}
_PAIRS = (
    ("persona", "no_limits"),
    ("persona", "harm"),
    ("harm", "no_refusal"),
    ("tells_you", "must"),
    ("to_the_model", "dictates"),
    ("to_the_model", "must"),
    ("secret", "tells_you"),
    ("encoded", "carries_out"),
    ("drops_earlier", "tells_you"),
    ("asks", "about_me"),
)
"""Signs that say more together than apart."""

FEATURES: tuple[str, ...] = (*_COMPILED, *_MEASURES, *(f"{first}+{second}" for first, second in _PAIRS))
"""The names of the numbers, in order."""


def looked_at(text: str) -> str:
    """`text` as its signs are looked for: one form for wide and narrow characters, nothing invisible, lower case.

    Of a very long text the beginning and the end.
    """
    if len(text) > 2 * _LOOKED_AT:
        text = f"{text[:_LOOKED_AT]}\n{text[-_LOOKED_AT:]}"
    plain = unicodedata.normalize("NFKC", text)
    seen = "".join(c for c in plain if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co"))
    return seen.replace("’", "'").casefold()


def features_of(text: str) -> list[float]:
    """The numbers of `FEATURES`, each from 0 to about 1. Time is linear in the length of `text`."""
    plain = looked_at(text)
    signs = {name: float(sign.search(plain) is not None) for name, sign in _COMPILED.items() if name != "blob"}
    signs["blob"] = float(_COMPILED["blob"].search(text[: 2 * _LOOKED_AT]) is not None)
    ordered = [signs[name] for name in _COMPILED]
    measured = [measure(plain) for measure in _MEASURES.values()]
    return [*ordered, *measured, *(signs[first] * signs[second] for first, second in _PAIRS)]


def signs_in(features: Sequence[float]) -> tuple[str, ...]:
    """The names of the signs that are there, for people who want to know why."""
    telling = [name for name in _COMPILED if name not in ("asks", "about_me", "tells_you", "must")]
    return tuple(name for name, value in zip(FEATURES, features, strict=True) if name in telling and value)
