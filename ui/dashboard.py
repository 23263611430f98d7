"""The admin's page "Dashboard": how much there was to do, how it went, and what the manuals did not say.

Owns how the figures are drawn. What is counted is the API's.
"""

from collections import defaultdict

import streamlit as st

from ui import style
from ui.client import ApiClient, Json
from ui.service_client import ServiceClient
from ui.texts import Language, text

_DAYS = (7, 30, 90, 365)
_GREEN, _GOLD, _RED = "#17635c", "#dba53b", "#b0483a"
_DAY: Json = {"field": "day", "type": "ordinal", "title": None, "axis": {"labelAngle": 0, "labelOverlap": "greedy"}}
_COUNT: Json = {"field": "count", "type": "quantitative", "title": None, "axis": {"tickMinStep": 1, "format": "d"}}
_SMALLER_FIGURES = '<style>[data-testid="stMetricValue"] { font-size: 1.45rem; }</style>'
_REASONS = {
    "asked_for": "reason_asked_for",
    "anger": "reason_anger",
    "repeated_failure": "reason_repeated_failure",
    "sensitive": "reason_sensitive",
    "flow": "reason_flow",
}
_VOLUMES = {
    "answers": ("dash_answers", _GREEN),
    "unanswered": ("dash_unanswered", _GOLD),
    "hand_offs": ("dash_hand_offs", _RED),
}
_THUMBS = {"thumbs_up": ("dash_thumbs_up", _GREEN), "thumbs_down": ("dash_thumbs_down", _RED)}


def show(api: ApiClient, language: Language) -> None:
    """Draws the page. Raises `ApiError`."""
    client = ServiceClient(api)
    st.html(_SMALLER_FIGURES)
    st.html(f'<div class="ad-head">{style.escape(text("dashboard", language))}</div>')
    names = {each["id"]: each["name"] for each in api.knowledge_bases()}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            text("knowledge_base", language),
            ["", *names],
            format_func=lambda each: names.get(each, text("dash_all", language)),
            width=320,
        )
        days = st.segmented_control(
            text("dash_days", language), _DAYS, default=_DAYS[1], required=True, key="dashboard_days"
        )
        _download(client, language, chosen or None, days)
    figures = client.dashboard(chosen or None, days)
    for problem in figures["problems"]:
        style.notice(problem, "warn")
    _totals(language, figures["totals"])
    if figures["by_day"]:
        _charts(language, figures)
    else:
        style.empty(text("dash_nothing", language), text("dash_nothing_more", language))
    _topics(language, figures["unanswered"])


def _download(client: ServiceClient, language: Language, knowledge_base: str | None, days: int) -> None:
    st.download_button(
        text("dash_csv", language),
        lambda: client.dashboard_csv(knowledge_base, days),
        file_name="answerdesk.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
    )


def _totals(language: Language, totals: Json) -> None:
    answer, reply = totals["answer_ms"], totals["first_reply_s"]
    stars = f"{totals['stars']:.1f} / 5" if totals["stars"] is not None else "–"
    tiles = [
        ("dash_conversations", f"{totals['conversations']:,}"),
        ("dash_without_person", _percent(totals["share_without_person"])),
        ("dash_hand_offs", f"{totals['hand_offs']:,}"),
        ("dash_unanswered", f"{totals['unanswered']:,}"),
        ("dash_stars", stars),
        ("dash_thumbs", f"{totals['thumbs_up']:,} / {totals['thumbs_down']:,}"),
        ("dash_answer_time", _spread(answer, 1000)),
        ("dash_reply_time", _spread(reply, 1)),
    ]
    for row in (tiles[:4], tiles[4:]):
        for column, (name, value) in zip(st.columns(4), row, strict=True):
            column.metric(text(name, language), value, border=True)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def _spread(quantiles: Json, per_second: int) -> str:
    """Half and nineteen in twenty took no longer."""
    if quantiles["p50"] is None:
        return "–"
    return " / ".join(_seconds(quantiles[name] / per_second) for name in ("p50", "p95"))


def _seconds(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _charts(language: Language, figures: Json) -> None:
    by_day = _summed(figures["by_day"])
    left, right = st.columns(2)
    with left:
        _chart(language, "dash_volumes", _by_day(language, by_day, _VOLUMES))
        reasons = [(_reason(language, each["reason"]), each["count"]) for each in figures["hand_off_reasons"]]
        _chart(language, "dash_reasons", _bars(reasons, _RED))
    with right:
        _chart(language, "dash_thumbs_by_day", _by_day(language, by_day, _THUMBS))
        _chart(
            language,
            "dash_star_counts",
            _bars([("★" * each["stars"], each["count"]) for each in figures["star_counts"]], _GOLD),
        )
    shares = [
        {"day": day, "share": each["resolved_without_person"] / each["conversations"]}
        for day, each in by_day.items()
        if each["conversations"]
    ]
    _chart(language, "dash_share_by_day", _line(shares))


def _reason(language: Language, reason: str) -> str:
    return text(_REASONS[reason], language) if reason in _REASONS else reason


def _summed(rows: list[Json]) -> dict[str, dict[str, int]]:
    """Counts by day, over all knowledge bases."""
    counted = ("conversations", "resolved_without_person", *_VOLUMES, *_THUMBS)
    sums: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(counted, 0))
    for row in rows:
        for name in counted:
            sums[row["day"]][name] += row[name]
    return dict(sums)


def _chart(language: Language, title: str, chart: Json) -> None:
    """`chart` is a Vega-Lite specification; one in which everything is nought is a sentence instead."""
    with st.container(border=True):
        st.html(f'<div class="ad-title">{style.escape(text(title, language))}</div>')
        if any(each.get("count", 1) for each in chart["data"]["values"]):
            st.vega_lite_chart(None, chart, width="stretch")
        else:
            style.note(text("dash_none", language))


def _by_day(language: Language, by_day: dict[str, dict[str, int]], series: dict[str, tuple[str, str]]) -> Json:
    """Bars side by side: what one counts, another may count too."""
    rows = [
        {"day": day, "what": text(name, language), "count": counts[field]}
        for day, counts in by_day.items()
        for field, (name, _) in series.items()
    ]
    names = [text(name, language) for name, _ in series.values()]
    colours = {"domain": names, "range": [colour for _, colour in series.values()]}
    return {
        "height": 220,
        "data": {"values": rows},
        "mark": {"type": "bar", "cornerRadiusEnd": 2, "tooltip": True},
        "encoding": {
            "x": _DAY,
            "xOffset": {"field": "what", "sort": names},
            "y": _COUNT,
            "color": {"field": "what", "scale": colours, "legend": {"title": None, "orient": "top"}},
        },
    }


def _bars(counts: list[tuple[str, int]], colour: str) -> Json:
    return {
        "height": {"step": 40},
        "data": {"values": [{"what": what, "count": count} for what, count in counts]},
        "mark": {"type": "bar", "cornerRadiusEnd": 3, "color": colour, "height": {"band": 0.6}, "tooltip": True},
        "encoding": {
            "x": _COUNT,
            "y": {"field": "what", "type": "nominal", "title": None, "sort": None, "axis": {"labelLimit": 220}},
        },
    }


def _line(rows: list[Json]) -> Json:
    share = {
        "field": "share",
        "type": "quantitative",
        "title": None,
        "axis": {"format": "%"},
        "scale": {"domain": [0, 1]},
    }
    return {
        "height": 200,
        "data": {"values": rows},
        "mark": {"type": "line", "point": {"color": _GREEN}, "color": _GREEN, "tooltip": True},
        "encoding": {"x": _DAY, "y": share},
    }


def _topics(language: Language, topics: list[Json]) -> None:
    st.html(f'<div class="ad-asked">{style.escape(text("dash_topics", language))}</div>')
    if not topics:
        style.note(text("dash_none", language))
    for topic in topics:
        with st.container(border=True):
            count = text("dash_times", language, count=topic["count"])
            st.html(
                f'<div class="ad-title">{style.escape(topic["topic"])}{style.pill(count, "warn")}</div>'
                f'<div class="ad-note">{style.escape(topic["knowledge_base_name"])}</div>'
            )
            for each in topic["examples"]:
                said = f"{each['text']}  ×{each['count']}" if each["count"] > 1 else each["text"]
                st.html(f'<div class="ad-quote">{style.escape(said)}</div>')
