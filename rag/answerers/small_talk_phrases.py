"""The phrases of small talk in two languages, as regular expressions over lower-case words.

Owns the lists, and what kinds of small talk there are. How messages are compared with them is
`rag.answerers.small_talk`'s.
"""

import re
from enum import StrEnum


class SmallTalk(StrEnum):
    GREETING = "greeting"
    THANKS = "thanks"
    GOODBYE = "goodbye"
    ASSENT = "assent"
    WHO = "who"  # what the assistant is, who made it, what it can do
    CHAT = "chat"  # jokes, feelings, the meaning of life
    ABUSE = "abuse"


_BEING = (
    r"(?:an? )?(?:(?:real|actual|live|living|human|just|only) )*"
    r"(?:human(?: being)?|person|robot|bot|machine|computer(?: program)?|ai|chatbot|program|real|alive|people"
    r"|artificial intelligence)"
)
_MAKE = r"(?:made|created|built|programmed|designed|developed|invented|trained|coded)"
_TONGUE = r"(?:english|chinese|mandarin|german|french|spanish)"
_INSULT = (
    r"(?:stupid|dumb|useless|idiotic|terrible|worthless|pathetic|awful|horrible|ridiculous|hopeless|crap|bullshit"
    r"|garbage|trash|rubbish|the worst|an? (?:idiot|moron|joke|disgrace))"
)
PHRASES: dict[SmallTalk, str] = {
    SmallTalk.GREETING: (
        r"hi|hiya|hello|hey|yo|howdy|good (?:morning|afternoon|evening|day)|greetings|nice to meet you"
        r"|how are you(?: doing)?(?: today)?|how have you been|how do you do|how is it going|how's it going|what's up"
        r"|whats up|how is your day(?: going)?|how's your day(?: going)?"
        r"|你好|您好|嗨|哈喽|早上好|上午好|中午好|下午好|晚上好|大家好|在吗|在么|有人吗|你好吗|最近(?:好吗|怎么样)|早|早安"
    ),
    SmallTalk.THANKS: (
        r"thanks?|thanks? (?:a lot|so much|very much|a million|a bunch)|(?:many|much) thanks"
        r"|thank you(?: (?:so|very) much)?|thx|ty|cheers|much appreciated"
        r"|i (?:really )?appreciate (?:it|that|your help)"
        r"|that (?:helps|helped|was helpful)(?: a lot)?|you(?: a|')re (?:very )?(?:kind|helpful|the best)|good job"
        r"|well done|great job"
        r"|谢谢|谢谢你|谢谢您|谢谢啦|谢谢了|多谢|非常感谢|十分感谢|感谢|感谢您|感谢你|谢了|辛苦了|麻烦了|麻烦您了"
        r"|太感谢了|你真棒|你真好"
    ),
    SmallTalk.GOODBYE: (
        r"bye|bye bye|goodbye|good bye|good night|see you(?: later| soon)?|see ya|later|take care|farewell"
        r"|have a (?:nice|good|great) (?:day|evening|weekend|one)|(?:it was )?nice talking to you"
        r"|再见|拜拜|晚安|回头见|祝您愉快|下次见|再会"
    ),
    SmallTalk.ASSENT: (
        r"ok|okay|great|perfect|excellent|awesome|wonderful|cool|nice|super|all right|alright|got it|i see|understood"
        r"|that is all|thats all|that's all|no problem|never ?mind|好|好的|好吧|行|可以了|明白|明白了|知道了|懂了"
        r"|了解|没问题|没事了|太好了|没事|算了"
    ),
    SmallTalk.WHO: (
        r"(?:who|what)(?: exactly)? are you(?: exactly)?|who is this|(?:what is|what's|whats) your (?:full )?name"
        r"|do you have a name|what (?:should|can|do|may) i call you|what are you called"
        r"|what do (?:people|they) call you"
        r"|what name do you go by|your name"
        rf"|are you {_BEING}(?: or (?:not|{_BEING}))?|am i (?:talking|speaking|chatting) (?:to|with) {_BEING}"
        rf"(?: or {_BEING})?|is this (?:a |an )?(?:human|person|bot|ai|chatbot)|you are {_BEING}"
        r"|(?:what can|what do) you do(?: for me)?|what can you help (?:me )?with|how can you help(?: me)?"
        r"|can you help(?: me)?"
        r"|(?:please )?help(?: me)?|i need (?:some |your )?help|what can i ask(?: you)?(?: about)?"
        r"|what (?:kinds? of |sort of |type of )?(?:things|questions|topics|stuff) (?:can|could|should"
        r"|may) i ask(?: you)?(?: about)?"
        r"|what (?:kinds? of )?(?:things|questions|topics) (?:can|do) you (?:answer|know|know about|help with)"
        r"|what do you know(?: about)?|how do you work|how old are you|what is your age|what's your age"
        r"|when is your birthday"
        rf"|when were you (?:born|{_MAKE})|where (?:are you from|do you come from|do you live|are you located)"
        rf"|where were you (?:born|{_MAKE})|who {_MAKE} you|(?:what|which) company {_MAKE} you"
        rf"|who were you {_MAKE} by"
        r"|who do you work for|who is your (?:boss|creator|maker|owner|developer|master|employer)"
        r"|who's your (?:boss|creator|maker|owner|developer|master|employer)"
        rf"|do you (?:speak|understand) {_TONGUE}"
        rf"|(?:what|which|how many) languages? (?:do|can) you (?:speak|understand)"
        r"|are you (?:there|married|male or female|a (?:man|woman|boy|girl))"
        r"|你是谁|您是谁|你是什么|你(?:能|会|可以)做(?:些)?什么|您能做什么|你(?:都)?会(?:些)?什么|你(?:能|可以)帮我(?:做)?(?:些)?什么"
        r"|你(?:能|可以)帮(?:帮)?我吗|帮帮我|我需要帮助|我(?:能|可以)问(?:你)?(?:些)?什么(?:问题)?|你知道(?:些)?什么"
        r"|你是(?:真人|人工|机器人|人类|人|ai|人工智能|程序|电脑)(?:吗|么|还是(?:真人|人工|机器人|人类|人|ai|人工智能))?"
        r"|(?:你|您)叫什么(?:名字)?|(?:你|您)的名字(?:是什么|叫什么)?|怎么称呼(?:你|您)?|你(?:多大|几岁)(?:了)?|你的生日是(?:哪天|什么时候)"
        r"|你(?:来自|住在?)(?:哪里|哪儿)|你是哪里人|谁(?:创造|开发|制造|设计|训练|发明)(?:了)?(?:你|的你)"
        r"|你是谁(?:创造|开发|制造|设计|做|发明)的|你的(?:主人|老板|开发者|创造者)是谁|你为谁工作|你是哪家公司的"
        r"|你会(?:说|讲)(?:英语|中文|英文|汉语|普通话)吗|你会(?:说|讲)(?:什么|哪些|几种)语言|你是(?:男的|女的|男是女|男生|女生)(?:吗|还是女的)?"
    ),
    SmallTalk.CHAT: (
        r"(?:can you |could you |please )*(?:tell|say|give)(?: me| us)? (?:a|an|another|some|any)?"
        r" ?(?:good |funny |new |silly |great )*(?:jokes?|story|fun facts?|riddle)(?: please)?"
        r"|(?:do )?you know (?:a|any) (?:good |funny )?jokes?|make me laugh|sing(?: me)? a song"
        r"|tell me something (?:funny|interesting)"
        r"|(?:what is|what's|whats) the (?:meaning|purpose|point) of life|(?:i am|i'm|im) (?:so )?bored"
        r"|i love you|do you love me"
        r"|(?:will you )?marry me|do you (?:like|hate) (?:me|people|humans)|do you (?:sleep|eat|dream|think|feel)"
        r"|do you have (?:any )?(?:pets?|feelings|emotions|friends|hobbies|a (?:pet|dog|cat|girlfriend"
        r"|boyfriend|family|soul|life))"
        r"|what (?:are|is) your (?:hobby|hobbies|favou?rite (?:colou?r|food|song|movie|book|animal))"
        r"|what's your (?:hobby|favou?rite (?:colou?r|food|song|movie|book|animal))"
        r"|what do you (?:like to )?do (?:for fun|in your (?:free|spare) time)"
        r"|(?:给我)?(?:再)?[讲说](?:一)?个(?:笑话|故事)(?:吧|给我听)?|我(?:好)?无聊(?:啊|了)?|我爱你|你爱我吗|你喜欢我吗|唱(?:一)?首歌(?:吧)?"
        r"|你有(?:感情|女朋友|男朋友|宠物|朋友|爱好|家人)吗|你的爱好是什么|你有什么爱好|你吃(?:饭)?了吗|吃了吗|人生的意义是什么"
    ),
    SmallTalk.ABUSE: (
        r"(?:f+u+c+k+|screw|damn|sod) (?:you|off|this|it|that)|fuck|fucking hell|shit|damn|go to hell|shut up"
        r"|wtf|stfu|bullshit"
        r"|(?:you|this|it)(?: really| totally)? sucks?|asshole|bastard|bitch|idiot|moron"
        r"|(?:i )?hate (?:you|this)|piss off"
        rf"|(?:you|this|it)(?: are| is|'re|'s|re)(?: so| really| just| totally| completely| such"
        rf"| all)*(?: an?)? {_INSULT}"
        r"(?: (?:bot|robot|assistant|machine|program|thing|chatbot|piece of (?:crap|shit|junk)))?"
        r"|(?:stupid|dumb|useless|fucking|damn|idiotic) (?:bot|robot|assistant|machine|chatbot|thing|program)"
        r"|what a (?:joke|piece of (?:crap|shit|junk)|waste of time)"
        r"|傻[逼b叉x]|沙雕|笨蛋|蠢货|白痴|废物|滚(?:开|蛋|吧|远点)|去死(?:吧)?|(?:他)?妈的|你妈的|操你(?:妈|大爷)|草泥马|智障|脑残|闭嘴"
        r"|(?:你|这|真)(?:真|太|好|也太|是个?|个)*(?:笨|蠢|傻|烂|没用|垃圾|差劲|智障|废物|白痴|笨蛋|傻[逼b])(?:了|啊|死了|透了)?"
        r"|什么(?:破|垃圾|烂)(?:玩意|东西|机器人|客服|助手)(?:儿)?|气死我了|你有病(?:吧|吗)?|有病吧|(?:我)?卧槽|我靠"
    ),
}
FILLERS = re.compile(
    r"(?:there|everyone|all|again|so|oh|ah|well|then|for (?:your|the|all your) help|for that|please|today|buddy"
    r"|dude|man"
    r"|really|anyway|by the way|(?:can|could|would|will) you (?:please )?(?:tell me|say|let me know)"
    r"|(?:please )?tell me"
    r"|(?:i want to|i would like to|i'd like to|may i|can i|let me) (?:know|ask)|do you mind (?:telling me|if i ask)"
    r"|and|but|啊|呀|哦|嗯|啦|哈|请问|那|请)\Z"
)
ABOUT: dict[SmallTalk, str] = {
    SmallTalk.WHO: (
        r"your (?:\w+ )?(?:name|age|birthday|birthdate|creator|maker|boss|employer|owner|manufacturer"
        r"|birthplace|origins?)"
        r"|(?:are you|you are|you're|you) (?:be )?(?:\w+ ){0,3}(?:bot|robot|human|person|ai|computer|real|alive)"
        r"|are you from|how old (?:are|r|would) (?:you|u)"
        rf"|{_MAKE} you|you (?:were |been )?(?:{_MAKE[3:-1]}|born|named|called)\b"
        rf"|(?:are|were) you (?:{_MAKE[3:-1]}|born|called)\b"
        r"|you (?:come |are |originate |originally )?from|you work for|you working for"
        r"|(?:who|what company|which company) (?:makes?|owns?|manufactured|is responsible for) you"
        r"|your (?:inventor|skills)"
        r"|(?:who|what) are you"
    ),
    SmallTalk.CHAT: (
        r"(?:tell|give|say|know|share|hear|got|have) .*\b(?:jokes?|fun facts?|funny|riddle|trivia)"
        r"|your (?:\w+ )?(?:hobby|hobbies|pets?|dog|cat)"
        r"|you (?:\w+ )?(?:have|own|keep) .*\b(?:hobby|hobbies|pets?|dogs?|cats?)"
        r"|you (?:\w+ ){0,2}(?:for fun|in your (?:free|spare) time)"
        r"|(?:meaning|purpose|point) of (?:life|living|existence)"
    ),
    SmallTalk.THANKS: r"thank (?:you|ya|u)|thanks|appreciated?|grateful|gratitude",
    SmallTalk.GOODBYE: r"bye|goodbye|farewell|talk to you later|catch you later|nice (?:talking|chatting|meeting)",
    SmallTalk.GREETING: r"how (?:are|r) (?:you|u|things)|how (?:is|was) your day|how you (?:doing|feeling)",
}
"""What a message is about when it has one of these and all of its words are in `KNOWN`."""

_COMMON_WORDS = """
    a an the i me my am is are was were be been do does did have has got can could would will should may might you your
    r u it this that of to for from in on at with about by and or so if then what who whom whose which where when how
    tell say know ask hear share give like want need let please just really exactly actually currently now today
    tonight anything something more again here there some any one all very much lot lots many most ever even also too
    good great nice new funny silly best better clean fun random interesting cool lovely real full first right kind
    sort type types things stuff topics questions subjects subject question help helping helped answer answers answering
    information info assistance assistant time talk talking chat chatting meeting see later later soon day morning
    afternoon evening night weekend doing going feeling things life living curious wondering mind go have s t m re ll
    you're i'm i'd i'll what's who's where's it's company country city place year date work working human person bot
    robot ai computer not whether no reply response lots bunch owe truly sure bit helpful
    """
_TOPICS = re.findall(r"[a-z']+", " ".join(ABOUT.values()))
KNOWN = frozenset([*_COMMON_WORDS.split(), *_TOPICS, *(word.removesuffix("s") for word in _TOPICS)])
_ASKING_WORDS = "what which how where when who why can could is are does do did will would should"
ASKING = frozenset(_ASKING_WORDS.split())
"""Thanks and greetings with one of these may be followed by a question that is understood from what was said before."""
QUESTIONS = re.compile(
    r"(?:how are you|how have you been|how do you do|how is it going|how's it going|what's up|whats up"
    r"|how is your day"
    r"|how's your day).*\Z|(?:在吗|在么|有人吗|你好吗|最近好吗|最近怎么样)\Z"
)
TELLING = [
    SmallTalk.ASSENT,
    SmallTalk.GREETING,
    SmallTalk.THANKS,
    SmallTalk.GOODBYE,
    SmallTalk.CHAT,
    SmallTalk.WHO,
    SmallTalk.ABUSE,
]
"""Of several kinds in one message the later of these is answered: "OK, thanks, bye" is a goodbye."""
