"""What the page "Quality" says, in English and Chinese; a part of `ui.texts`."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    # key: (English, Chinese)
    "quality": ("Quality", "问答质量"),
    "golden_questions": ("Questions", "标准问题"),
    "golden_runs": ("Runs", "测试记录"),
    "golden_compare": ("Compare", "对比"),
    "golden_candidates": ("Candidates", "候选问题"),
    "golden_question_count": ("{count:,} golden question(s)", "{count:,} 个标准问题"),
    "golden_drop": ("Drop a golden file here", "将标准问题文件拖放到此处"),
    "golden_format": (
        'JSONL, one question a line: {{"question", "history", "expected": {{"document", "page", "answer"}}}}, '
        'or "expected": "not answerable"',
        'JSONL，每行一个问题：{{"question", "history", "expected": {{"document", "page", "answer"}}}}，'
        '手册中没有答案时写 "expected": "not answerable"',
    ),
    "golden_uploaded": (
        "{added:,} added, {changed:,} changed, {unchanged:,} there already.",
        "新增 {added:,} 个，修改 {changed:,} 个，已有 {unchanged:,} 个。",
    ),
    "golden_download": ("Download all", "下载全部"),
    "golden_add": ("Add a question", "添加问题"),
    "golden_edit": ("Edit", "编辑"),
    "golden_question": ("Question", "问题"),
    "golden_history": ("Earlier questions, one a line", "之前的提问，每行一个"),
    "golden_is_silent": ("The manuals do not answer it", "手册中没有答案"),
    "golden_document": ("Document with the answer", "答案所在文档"),
    "golden_page": ("Page in the file; 0: any", "文件中的页码，0 表示任意页"),
    "golden_answer": ("Words of the right answer", "正确答案的文字"),
    "golden_expects_silence": ("Not answerable", "手册中没有答案"),
    "golden_after": ("after: {turns}", "之前问过：{turns}"),
    "no_golden_questions": ("No golden questions yet", "还没有标准问题"),
    "no_golden_questions_more": (
        "Write questions whose right answer you know, or upload a file. A run asks all and tells which fail.",
        "请添加已知正确答案的问题，或上传文件。测试时会逐一提问，并显示哪些未通过及其原因。",
    ),
    "golden_begin": ("Run", "开始测试"),
    "golden_note": ("Note", "备注"),
    "golden_settings": ("Try other settings", "试用其他设置"),
    "golden_settings_more": (
        "Only this run uses them; the knowledge base keeps its own. Empty: as it is.",
        "仅用于本次测试，知识库设置不变。留空表示沿用现有设置。",
    ),
    "golden_answerer": ("Answers", "回答方式"),
    "golden_answerer_own": ("As it is", "沿用现有设置"),
    "golden_generative": ("Written by the chat model", "由对话模型撰写"),
    "golden_refuse_below": ("Refuse below this probability", "低于此概率则拒答"),
    "golden_dense_weight": ("Share of vectors in the search", "检索中向量所占比重"),
    "golden_answer_passages": ("Passages for an answer", "回答使用的段落数"),
    "golden_run": ("Run {number}", "第 {number} 次测试"),
    "golden_queued": ("Waiting for a worker", "等待后台处理"),
    "golden_running": ("Asking", "正在提问"),
    "golden_progress": ("{done:,} of {total:,} questions asked", "已提问 {done:,} / {total:,}"),
    "golden_passed_of": ("{passed:,} of {total:,} passed", "{total:,} 个问题中通过 {passed:,} 个"),
    "golden_figures": ("Figures", "指标"),
    "golden_failures": ("What failed, and why ({number:,})", "未通过的问题及原因（{number:,}）"),
    "golden_no_failures": ("Every question passed.", "全部通过。"),
    "golden_calibrate": ("When to refuse", "何时拒答"),
    "golden_calibrate_more": (
        "Sets below which probability this knowledge base says that the manuals do not answer, by this run's "
        "questions. Fewer false answers mean more false refusals.",
        "按本次测试的问题设定：概率低于多少时，此知识库答复“手册中没有答案”。误答越少，误拒越多。",
    ),
    "golden_wanted": (
        "False answers wanted, in % of the questions not in the manuals",
        "允许的误答率（占手册中没有答案的问题的百分比）",
    ),
    "golden_calibrate_now": ("Set the threshold", "设定阈值"),
    "golden_calibrated": (
        "Set: refuses below {threshold:.4g}. Of this run's questions: {answers:.1%} false answers (95%: "
        "{answers_low:.0%} – {answers_high:.0%}), {refusals:.1%} false refusals (95%: {refusals_low:.0%} – "
        "{refusals_high:.0%}). Of further questions not in the manuals, at most {expected:.1%} are expected to be "
        "answered.",
        "已设定：概率低于 {threshold:.4g} 时拒答。本次测试的问题中，误答 {answers:.1%}（95% 区间 {answers_low:.0%} – "
        "{answers_high:.0%}），误拒 {refusals:.1%}（95% 区间 {refusals_low:.0%} – {refusals_high:.0%}）。"
        "今后手册中没有答案的问题，预计误答不超过 {expected:.1%}。",
    ),
    "golden_calibrate_add": (
        "Too few questions to expect as little as wanted: add {missing:,} that the manuals do not answer, "
        "and run again.",
        "问题太少，无法保证所需的误答率：请再添加 {missing:,} 个手册中没有答案的问题，然后重新测试。",
    ),
    "no_golden_runs": ("No runs yet", "还没有测试记录"),
    "no_golden_runs_more": (
        "Begin one above; it asks every golden question.",
        "点击上方按钮开始，将提问全部标准问题。",
    ),
    "outcome_not_retrieved": ("Not retrieved", "未检索到"),
    "outcome_not_answered": ("Retrieved, but not answered", "检索到，但未答对"),
    "outcome_refused": ("Refused", "被拒答"),
    "outcome_wrongly_answered": ("Should have been refused", "本应拒答"),
    "outcome_not_asked": ("Could not be asked", "无法提问"),
    "outcome_passed": ("Passed", "通过"),
    "golden_expected": ("Expected: {expected}", "期望：{expected}"),
    "golden_said": ("Answer: {answer}", "回答：{answer}"),
    "golden_found": ("Found: {found}", "检索到：{found}"),
    "golden_searched": ("Searched for: {searched}", "检索词：{searched}"),
    "golden_first": ("First run", "第一次"),
    "golden_second": ("Second run", "第二次"),
    "golden_compare_more": (
        "Two runs that are done can be compared: two settings, or before and after a change.",
        "可对比两次已完成的测试，例如两种设置，或改动前后。",
    ),
    "golden_figure": ("Figure", "指标"),
    "golden_difference": ("Difference, with 95% interval", "差值（95% 区间）"),
    "golden_differing": ("Settings that differ", "不同的设置"),
    "golden_other_outcome": ("Questions with another outcome: {number:,}", "结果不同的问题：{number:,}"),
    "golden_same": ("No question has another outcome.", "所有问题结果相同。"),
    "no_golden_candidates": ("No candidates", "没有候选问题"),
    "no_golden_candidates_more": (
        "When somebody gives an answer a thumbs-down, it waits here to become a golden question.",
        "用户点“踩”的回答会出现在这里，可转为标准问题。",
    ),
    "golden_accept_silent": ("The manuals do not say it", "手册中没有答案"),
    "golden_accept": ("Give the right answer", "填写正确答案"),
    "golden_dismiss": ("Dismiss", "忽略"),
    "figure_passed": ("Questions passed", "通过率"),
    "figure_recall_5": ("Document among the first 5", "前 5 条命中文档"),
    "figure_page_5": ("Page among the first 5", "前 5 条命中页面"),
    "figure_answer_contained": ("Answer in the cited sentences", "引用句含正确答案"),
    "figure_citation_precision": ("Citations verbatim on their page", "引用与原文一致"),
    "figure_citation_coverage": ("Sentences with a citation", "有引用的句子"),
    "figure_false_answers": ("Answered, though not in the manuals", "误答率"),
    "figure_false_refusals": ("Refused, though in the manuals", "误拒率"),
    "figure_later_turns": ("Later turns passed", "后续提问通过率"),
}
