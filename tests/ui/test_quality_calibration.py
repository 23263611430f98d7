"""The form under a run that sets when to refuse: what is asked of the API, and what is told of its answer."""

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

MADE = {
    "refuse_below": 0.4321,
    "false_answers": {"value": 0.0, "low": 0.0, "high": 0.24},
    "false_refusals": {"value": 0.25, "low": 0.1, "high": 0.5},
    "expected_false_answers": 1 / 13,
    "questions_missing": 7,
}


class Api:
    def __init__(self) -> None:
        self.asked: list[tuple[str, str, float]] = []

    def calibrate_by_golden_run(self, knowledge_base: str, run: str, false_answers: float) -> dict[str, Any]:
        self.asked.append((knowledge_base, run, false_answers))
        return MADE


def page(api: "Any", language: "Any") -> None:
    """Run from its source alone, without this module's imports."""
    from ui import quality_calibration

    quality_calibration.show(api, language, "manuals", {"id": "r1"})


@pytest.mark.parametrize(
    ("language", "says", "adds"),
    [("en", "25.0% false refusals (95%: 10% – 50%)", "add 7 that"), ("zh", "误拒 25.0%", "再添加 7 个")],
)
def test_the_wanted_share_is_sent_as_a_fraction_and_the_outcome_told(language: str, says: str, adds: str) -> None:
    api = Api()
    shown = AppTest.from_function(page, args=(api, language)).run()
    assert not api.asked
    shown.number_input[0].set_value(7.5)
    shown.button[0].click().run()
    assert not shown.exception
    ((knowledge_base, run, wanted),) = api.asked
    assert (knowledge_base, run) == ("manuals", "r1")
    assert wanted == pytest.approx(0.075)
    told = " ".join(each.proto.body for each in shown.get("html"))
    assert says in told
    assert "0.4321" in told
    assert adds in told
