"""The demonstration shop's pages as HTML.

Owns their words and their markup; everything from outside is escaped here. A page has one script, the widget's, and
nothing inline, so that it works under a strict Content-Security-Policy. Knows no requests.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from app.sample.shop.goods import ACCESSORIES, CURRENCY, MACHINES, QUESTIONS, Article, Language

_TEXTS: dict[str, tuple[str, str]] = {
    "shop": ("Orvello", "奥维洛"),
    "about": ("Coffee machines and what belongs to them", "咖啡机与配件"),
    "headline": ("Good coffee, without a ceremony.", "一杯好咖啡，就这么简单。"),
    "more": (
        "Two bean-to-cup machines that grind, brew and clean up after themselves. "
        "Anything you would like to know, ask at the corner below.",
        "两款全自动咖啡机，研磨、冲煮、清洗一气呵成。有任何问题，点右下角即可咨询。",
    ),
    "machines": ("Machines", "咖啡机"),
    "accessories": ("Care and accessories", "养护与配件"),
    "view": ("View", "查看详情"),
    "basket": ("Add to basket", "加入购物车"),
    "demonstration": ("A demonstration shop: nothing is sold here.", "演示商店，不销售任何商品。"),
    "orders": (
        "Orders to try: OR-10021 (delivered), OR-10022 (on its way), OR-10023 (being packed).",
        "可用于试验的订单号：OR-10021（已送达）、OR-10022（运输中）、OR-10023（处理中）。",
    ),
    "home": ("All products", "全部商品"),
    "delivery": ("Free delivery, 30 days to return it", "免费配送，30 天内可退货"),
    "other": ("中文", "English"),
}


@dataclass(frozen=True, slots=True)
class Desk:
    """Where the widget comes from, and which site's it is. Without a site a page shows none."""

    api: str
    site: str


def front_page(desk: Desk, language: Language) -> str:
    cards = "".join(_machine_card(article, language) for article in MACHINES)
    small = "".join(_small_card(article, language) for article in ACCESSORIES)
    body = (
        f'<section class="hero"><h1>{_say("headline", language)}</h1><p>{_say("more", language)}</p></section>'
        f'<h2>{_say("machines", language)}</h2><div class="machines">{cards}</div>'
        f'<h2>{_say("accessories", language)}</h2><div class="accessories">{small}</div>'
    )
    return _page(desk, language, _say("about", language), body, "")


def article_page(desk: Desk, article: Article, language: Language) -> str:
    points = "".join(
        f"<tr><th scope='row'>{escape(name[language])}</th><td>{escape(value[language])}</td></tr>"
        for name, value in article.points
    )
    table = f"<table>{points}</table>" if points else ""
    body = (
        f'<nav class="back"><a href="{_root(language)}">{_say("home", language)}</a></nav>'
        f'<article class="product"><div class="picture">{_picture(article)}</div>'
        f"<div><h1>{escape(article.name[language])}</h1><p class='line'>{escape(article.line[language])}</p>"
        f'<p class="price">{_price(article)}</p><button type="button">{_say("basket", language)}</button>'
        f'<p class="delivery">{_say("delivery", language)}</p>{table}</div></article>'
    )
    return _page(desk, language, article.name[language], body, article.path, article.product)


def _page(desk: Desk, language: Language, title: str, body: str, path: str, product: str | None = None) -> str:
    other: Language = "en" if language == "zh" else "zh"
    return (
        f'<!doctype html><html lang="{"zh-CN" if language == "zh" else "en"}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">'
        f'<title>{escape(title)} · {_say("shop", language)}</title><link rel="icon" href="/files/icon.svg">'
        '<link rel="stylesheet" href="/files/shop.css"></head><body>'
        f'<header class="top"><a class="brand" href="{_root(language)}">{_say("shop", language)}</a>'
        f'<a class="other" href="{_root(other)}{path}" lang="{other}" hreflang="{other}">{_say("other", language)}</a>'
        "</header>"
        f"<main>{body}</main><footer><p>{_say('orders', language)}</p><p>{_say('demonstration', language)}</p></footer>"
        f"{_widget(desk, language, product)}</body></html>"
    )


def _widget(desk: Desk, language: Language, product: str | None) -> str:
    if not desk.site:
        return ""
    questions: Iterable[str] = QUESTIONS[language]
    attributes = {"data-site": desk.site, "data-product": product, "data-questions": "|".join(questions)}
    said = " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items() if value)
    return f'<script src="{escape(desk.api)}/widget.js" {said} async></script>'


def _machine_card(article: Article, language: Language) -> str:
    return (
        f'<a class="machine" href="{_root(language)}{article.path}">{_picture(article)}'
        f'<span class="words"><b>{escape(article.name[language])}</b><span>{escape(article.line[language])}</span>'
        f'<span class="price">{_price(article)}</span></span></a>'
    )


def _small_card(article: Article, language: Language) -> str:
    return (
        f'<a class="small" href="{_root(language)}{article.path}">{_picture(article)}'
        f"<b>{escape(article.name[language])}</b><span>{escape(article.line[language])}</span>"
        f'<span class="price">{_price(article)}</span></a>'
    )


def _picture(article: Article) -> str:
    return f'<img src="/files/{escape(article.drawing)}" alt="" width="240" height="240">'


def _price(article: Article) -> str:
    return f"{CURRENCY}{article.price}"


def _root(language: Language) -> str:
    return "/zh/" if language == "zh" else "/"


def _say(key: str, language: Language) -> str:
    return escape(_TEXTS[key][language == "zh"])
