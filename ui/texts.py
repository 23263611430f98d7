"""What the pages say, in English and Chinese. Knows nothing else.

`{name}` in a text is filled in by `str.format`.
"""

from typing import Final, Literal

from ui.texts_quality import TEXTS as QUALITY_TEXTS
from ui.texts_service import TEXTS as SERVICE_TEXTS

Language = Literal["en", "zh"]

LANGUAGES: Final[dict[Language, str]] = {"en": "English", "zh": "中文"}

OWN_TEXTS: Final[dict[str, tuple[str, str]]] = {
    # key: (English, Chinese)
    "customer_service": ("Customer service", "客户服务"),
    "document_qa": ("Document Q&A", "文档问答"),
    "knowledge_base": ("Knowledge base", "知识库"),
    "all_documents": ("All documents", "全部文档"),
    "sign_in": ("Sign in", "登录"),
    "sign_in_more": ("With the account that your admin has made for you.", "请使用管理员为您创建的账户。"),
    "sign_in_nobody": (
        "There is no account yet. Whoever runs Answerdesk makes the first on its machine: answerdesk account create",
        "还没有账户。请由 Answerdesk 的管理员在其所在的机器上创建第一个账户：answerdesk account create",
    ),
    "sign_in_wrong": ("E-mail or password is wrong.", "邮箱或密码不正确。"),
    "sign_in_later": ("Too many attempts. Please wait a moment.", "尝试次数过多，请稍候再试。"),
    "email": ("E-mail", "邮箱"),
    "password": ("Password", "密码"),
    "sign_out": ("Sign out", "退出登录"),
    "new_conversation": ("New conversation", "新对话"),
    "ask_here": ("Ask a question about the product", "请输入您的问题"),
    "ask_document": ("Ask a question about this manual", "就这份手册提问"),
    "hello_customer": ("How can we help?", "您好，有什么可以帮您？"),
    "hello_customer_more": (
        "Ask in your own words. Every answer comes from the manuals and shows the page it stands on.",
        "请直接提问。每个回答都出自产品手册，并注明所在页码。",
    ),
    "document": ("Document", "文档"),
    "hello_reader": ("Ask a long manual a short question", "向长手册提一个短问题"),
    "hello_reader_more": (
        "The answer appears here, sentence by sentence with its source. The cited page opens beside it.",
        "回答会逐句显示在这里并注明出处，引用的页面在旁边打开。",
    ),
    "cited_page": ("Cited page", "引用的页面"),
    "no_citation_yet": (
        "Open a source to see its page here, with the sentence highlighted.",
        "点击来源编号，即可在此查看原页面，相关语句会高亮显示。",
    ),
    "previous": ("Previous", "上一处"),
    "next": ("Next", "下一处"),
    "printed_page": ("page {label} ({page} in the file)", "第 {label} 页（文件第 {page} 页）"),
    "page": ("page {page}", "第 {page} 页"),
    "source": ("Source {marker} of {count}", "来源 {marker} / {count}"),
    "all_sources": ("All {count} sources", "全部 {count} 个来源"),
    "searching": ("Looking through the manuals…", "正在查阅手册……"),
    "made_by_extractive": ("Quoted from the manuals", "摘自手册原文"),
    "made_by_some_model": ("a language model", "语言模型"),
    "made_by_generative": ("Written by {model} from the manuals", "由 {model} 根据手册撰写"),
    "about": ("About: {products}", "关于：{products}"),
    "demonstration": (
        "Answers are written by {model}, a small demonstration model: it often says wrong things. "
        "Check the cited pages.",
        "回答由小型演示模型 {model} 撰写，经常出错，请以引用的页面为准。",
    ),
    "fallback": (
        "The chat model could not answer, so this answer quotes the manual.",
        "对话模型未能作答，本回答直接摘自手册原文。",
    ),
    "stopped": ("This answer was interrupted.", "回答已中断。"),
    "failed": ("This answer failed.", "回答失败。"),
    "try_again": ("Try again", "重试"),
    "thanks": ("Thank you.", "谢谢您的反馈。"),
    "no_knowledge_base": ("There is no knowledge base yet", "还没有知识库"),
    "no_knowledge_base_more": (
        "Create one on the Knowledge base page and upload a manual; then ask it here.",
        "请先在“知识库”页面新建知识库并上传手册，然后即可在此提问。",
    ),
    "nothing_to_ask": ("This knowledge base has no document that can be asked yet", "该知识库中还没有可提问的文档"),
    "first_knowledge_base": (
        "Make one for each product or team, upload its manuals, and ask.",
        "为每个产品或团队新建一个知识库，上传手册，即可提问。",
    ),
    "unreachable": ("Just a moment", "请稍候"),
    "unreachable_more": (
        "The service is not answering right now. This page comes back by itself; nothing you wrote is lost.",
        "服务暂时没有响应。恢复后本页面会自动刷新，您输入的内容不会丢失。",
    ),
    "create": ("Create", "新建"),
    "create_knowledge_base": ("New knowledge base", "新建知识库"),
    "name": ("Name", "名称"),
    "name_example": ("e.g. Coffee machines", "例如：咖啡机"),
    "main_language": ("Main language", "主要语言"),
    "mixed": ("Mixed", "混合"),
    "english": ("English", "英文"),
    "chinese": ("Chinese", "中文"),
    "documents": ("Documents", "文档"),
    "upload": ("Upload", "上传"),
    "upload_label": (
        "PDF, Word, PowerPoint, Excel, EPUB, HTML, pictures, Markdown, text, CSV, JSONL or ZIP",
        "PDF、Word、PowerPoint、Excel、EPUB、HTML、图片、Markdown、文本、CSV、JSONL 或 ZIP",
    ),
    "drop": ("Drop manuals here", "将手册拖放到此处"),
    "browse": ("Browse files", "选择文件"),
    "refused": ("Some files were not accepted:", "以下文件未被接受："),
    "no_documents": ("No documents yet", "还没有文档"),
    "no_documents_more": (
        "Upload a manual above; you can ask as soon as it is ready.",
        "请在上方上传手册，读取完成后即可提问。",
    ),
    "more_documents": ("Show {count:,} more", "再显示 {count:,} 个"),
    "document_count": ("{count:,} document(s)", "{count:,} 个文档"),
    "page_count": ("{count:,} page(s)", "{count:,} 页"),
    "passage_count": ("{count:,} passage(s)", "{count:,} 个段落"),
    "window_count": ("{count:,} window(s)", "{count:,} 个窗口"),
    "delete": ("Delete", "删除"),
    "retry": ("Read again", "重新读取"),
    "really_delete": (
        "Delete {name}? It disappears from all answers at once.",
        "删除 {name}？它将立即从所有回答中消失。",
    ),
    "delete_knowledge_base": ("Delete this knowledge base", "删除该知识库"),
    "cancel": ("Cancel", "取消"),
    "passages": ("Passages", "段落"),
    "passage": ("Passage", "段落"),
    "no_passages": ("No passages yet", "还没有段落"),
    "no_passages_more": (
        "They appear here when a document has been read.",
        "文档读取完成后，段落会显示在这里。",
    ),
    "more": ("More", "更多"),
    "show_page": ("Show page", "查看页面"),
    "try_search": ("Try a search", "检索测试"),
    "search_label": ("What would a customer ask?", "客户可能会怎么问？"),
    "search_more": (
        "Shows the passages that would be found, best first, with their scores. Nothing is answered or kept.",
        "按得分从高到低显示检索到的段落，不生成回答，也不保存记录。",
    ),
    "score": ("score {score:.2f}", "得分 {score:.2f}"),
    "no_hits": ("Nothing found.", "没有找到结果。"),
    "also_at": ("also at {count} other place(s)", "另有 {count} 处相同内容"),
    "warnings": ("{count} note(s)", "{count} 条提示"),
    "seconds_left": ("about {seconds:.0f} s left", "约剩 {seconds:.0f} 秒"),
    "pages_done": ("{done:,} of {total:,} pages", "已解析 {done:,} / {total:,} 页"),
    "windows_done": ("{done:,} of {total:,} windows embedded", "已向量化 {done:,} / {total:,} 个窗口"),
    "chinese_simplified": ("Chinese (simplified)", "中文（简体）"),
    "traditional_chinese": ("Chinese (traditional)", "中文（繁体）"),
    "german": ("German", "德文"),
    "french": ("French", "法文"),
    "spanish": ("Spanish", "西班牙文"),
    "italian": ("Italian", "意大利文"),
    "portuguese": ("Portuguese", "葡萄牙文"),
    "dutch": ("Dutch", "荷兰文"),
    "japanese": ("Japanese", "日文"),
    "korean": ("Korean", "韩文"),
    "russian": ("Russian", "俄文"),
    "unknown_language": ("Unknown language", "语言未知"),
    "about_document": ("About this document", "文档信息"),
    "title": ("Title", "标题"),
    "product": ("Product", "产品"),
    "version": ("Version", "版本"),
    "audience": ("Audience", "读者"),
    "document_language": ("Language", "语言"),
    "is_public": ("Visitors may see it", "访客可见"),
    "is_public_help": (
        "Visitors of the widget get answers, citations and pages from such documents only.",
        "网站访客只能看到来自这类文档的回答、引用和页面。",
    ),
    "save": ("Save", "保存"),
    "document_quality": ("Document quality", "文档质量"),
    "quality_more": (
        "Looks for documents that are nearly the same, text that recurs everywhere, and pages that nobody can read.",
        "查找内容几乎相同的文档、反复出现的文字，以及无法阅读的页面。",
    ),
    "look_at_documents": ("Look at the documents", "检查文档"),
    "looking_at_documents": ("Reading all documents…", "正在检查全部文档……"),
    "languages": ("Languages:", "语言："),
    "filters_being_applied": (
        "The filters are being applied; this takes a moment, and waits for documents that are being read.",
        "正在应用过滤规则，请稍候；如有文档正在读取，将在读取完成后进行。",
    ),
    "filter_unreadable": ("Leave out unreadable passages", "排除无法阅读的段落"),
    "filter_unreadable_more": (
        "Garbled text, dumps, lines of dots: passages with too little text to answer anything.",
        "乱码、转储数据、点线等，几乎没有可用文字的段落。",
    ),
    "filter_duplicate": ("Leave out duplicates", "排除重复内容"),
    "filter_duplicate_more": (
        "Of documents that are nearly the same, what stands word for word in the newest is found only there. "
        "Documents of different products, versions, audiences or languages are never duplicates.",
        "对于几乎相同的文档，与最新一份逐字相同的段落只在最新文档中检索。产品、版本、读者或语言不同的文档不视为重复。",
    ),
    "filter_boilerplate": ("Leave out boilerplate", "排除套话"),
    "filter_boilerplate_more": (
        "Passages that hold nothing but text which recurs are found in their first place only, "
        "for each product by itself.",
        "完全由反复出现的文字组成的段落，在每个产品中只保留第一处。",
    ),
    "filter_is_on": (
        "On: {excluded:,} of {all:,} passages are left out by it; {findable:,} can be found.",
        "已启用：共 {all:,} 个段落，其中 {excluded:,} 个被此规则排除；可检索 {findable:,} 个。",
    ),
    "filter_would": (
        "Off: it would leave out {passages:,} of {all:,} passages, in {count:,} document(s); "
        "{findable:,} can be found now.",
        "未启用：启用后将排除 {count:,} 个文档中的 {passages:,} 个段落（共 {all:,} 个）；目前可检索 {findable:,} 个。",
    ),
    "examples": ("Examples", "示例"),
    "alike_documents": ("Nearly the same: {number:,}", "几乎相同：{number:,} 组"),
    "duplicates": ("Nearly the same as", "与此文档几乎相同"),
    "siblings": (
        "Siblings, which differ in product, version, audience or language, of",
        "产品、版本、读者或语言不同的同类文档",
    ),
    "recurring_texts": ("Recurring text: {number:,}", "反复出现的文字：{number:,} 处"),
    "times": ("{times:,} times in {count:,} document(s)", "在 {count:,} 个文档中出现 {times:,} 次"),
    "unreadable_documents": ("Documents with unreadable text: {number:,}", "含无法阅读内容的文档：{number:,} 个"),
    "and_more": ("and {number:,} more", "以及另外 {number:,} 项"),
    "nothing_found": ("Nothing of the kind.", "没有发现。"),
    "excluded": ("Left out: {reason}", "已排除：{reason}"),
    "reason_unreadable": ("unreadable", "无法阅读"),
    "reason_duplicate": ("duplicate", "重复"),
    "reason_boilerplate": ("boilerplate", "套话"),
    "index": ("Index", "索引"),
    "generation": ("Generation {number}", "第 {number} 代"),
    "generation_building": ("Being built", "构建中"),
    "generation_ready": ("Ready", "已就绪"),
    "generation_active": ("Answers now", "当前使用"),
    "generation_retired": ("At rest", "已停用"),
    "generation_failed": ("Not complete", "不完整"),
    "generation_incomplete": (
        "These documents could not be read for it. Upload them again, delete them, or try once more:",
        "以下文档无法读取，请重新上传、删除，或再试一次：",
    ),
    "activate_generation": ("Answer with it", "切换使用"),
    "drop_generation": ("Drop", "移除"),
    "really_drop": (
        "Drop generation {number}? There is no way back to it then.",
        "移除第 {number} 代？移除后将无法再切换回去。",
    ),
    "try_once_more": ("Try once more", "再试一次"),
    "documents_read_again": ("{done:,} of {total:,} documents read again", "已重新读取 {done:,} / {total:,} 个文档"),
    "passage_tokens": ("passages of up to {tokens:,} tokens", "段落最长 {tokens:,} 个词元"),
    "new_generation": ("Change the embedder or the chunker", "更换向量模型或切分方式"),
    "new_generation_more": (
        "All documents are read again beside the present generation, which goes on answering until you switch. "
        "The way back stays open until you drop it.",
        "所有文档会在后台重新读取，期间仍由当前这一代回答，直到您切换。移除旧的一代之前，随时可以切换回去。",
    ),
    "embedder": ("Embedder: a model's name or folder; empty keeps it", "向量模型：名称或文件夹，留空则保持不变"),
    "passage_tokens_label": ("Longest passage, in tokens", "段落最大长度（词元）"),
    "window_words_label": ("Length of a window, in words", "窗口长度（词）"),
    "build_generation": ("Build", "开始构建"),
    "status_running": ("Reading", "读取中"),
    "status_done": ("Done", "完成"),
    "status_queued": ("Waiting", "等待中"),
    "status_parsing": ("Reading pages", "解析页面"),
    "status_embedding": ("Embedding", "向量化"),
    "status_indexing": ("Indexing", "建立索引"),
    "status_ready": ("Ready", "就绪"),
    "status_ready_with_warnings": ("Ready, with notes", "就绪（有提示）"),
    "status_failed": ("Failed", "失败"),
    "status_cancelled": ("Cancelled", "已取消"),
}
TEXTS: Final = OWN_TEXTS | QUALITY_TEXTS | SERVICE_TEXTS


def text(key: str, language: Language, **values: object) -> str:
    """The text in one language, filled in; "(s)" becomes a plural unless `count` is 1. Raises `KeyError`."""
    english, chinese = TEXTS[key]
    if language == "zh":
        return chinese.format(**values)
    return english.replace("(s)", "" if values.get("count") == 1 else "s").format(**values)
