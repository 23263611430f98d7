"""The sample knowledge base: one invented coffee machine in two models, its English and its Chinese manual.

`manual.en.md` and `manual.zh.md` are the text, `render.render_sample` makes the two PDF files, and
`questions.jsonl` holds questions with the page that answers them. Each line of it has `_id`, `text`, `language`,
`document` ("en" or "zh": the manual it is asked of), `page` (1-based, in the rendered PDF; null when the manual does
not say) and `answer` (words that stand on that page; null when the manual does not say).

This package knows nothing of the rest of the application.
"""

FIRST_QUESTIONS = {
    "en": "How long does descaling take on the LT-300S, and what do I need for it?",
    "zh": "LT-300S 除垢需要多长时间？要准备什么？",
}
"""One question worth asking first, per language: its answer is a procedure that differs between the models."""
