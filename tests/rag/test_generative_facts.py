"""Numbers, units, dates, codes and names of a sentence, looked for in a passage: what is the same and what is not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.answerers.generative.facts import Claims, Evidence
from tests.effort import costs_at_most
from tests.rag.answering import passage

UNIT_WORDS = [f"{spelling.upper()} " for spelling in ("litre", "millimetre", "minutes", "kilobyte", "inches", "psi")]
PAGE = (
    "Let it cool for 30 minutes. Use 1,500 ml of water at 1.5 bar, never below -5 °C. Error E-42 (see A1-23) was added "
    "on 12 March 2024 by Acme Corp. Charge it at 10 to 35 °C until 10:30. Rinse it twice. The Galaxy S10 has Wi-Fi "
    "on 2.4GHz and 16 GB. Run set_clock --no-gui. Firmware 1.2.3 holds 0.5 l in twenty-five cups. Lead time (h): 48. "
    "Lot 007."
)
CHINESE = (
    "请先关闭《安全开关》，等待三十分钟。然后加入五十毫升白醋，水温不超过１００℃。"
    "保修期为两年，截至2024年3月12日。使用USB接口，占百分之五。"
)


def missing(said: str, page: str = PAGE) -> list[str]:
    return Claims(said).missing([Evidence(passage(page, heading_path=["Care and Cleaning"]))])


@pytest.mark.parametrize(
    "said",
    [
        "Wait 30 min.",
        "Wait half an hour, that is thirty minutes.",
        "A 30-minute break.",
        "Use 1500 ml, or 1 500 ml, or fifteen hundred milliliters.",
        "Use １，５００ ml at 1,5 bar.",
        "At −5 °C or minus five degrees Celsius.",
        "Error E42 and e-42 are the same, see A1-23.",
        "Added in March 2024, on March 12th, 2024, that is 2024-03-12 or 2024年3月12日.",
        "Made by Acme Corp.",
        "Between 10 °C and 35 °C.",
        "Until 10:30, rinse two times.",
        "The Galaxy S10 has 2.4 GHz and 16GB.",
        "Run `set_clock --no-gui` on firmware 1.2.3.",
        "It holds 0.50 l in 25 cups.",
        "The lead time is 48 h.",
        "1. See Care and Cleaning on page 41.",
        "3) Repeat step 2.",
        "1.5 bar is enough.",
        "Lot 007.",
        "One should wait. Then the lamp goes on.",
    ],
)
def test_the_same_fact_is_found_however_it_is_written(said: str) -> None:
    assert missing(said) == []


@pytest.mark.parametrize(
    ("said", "not_there"),
    [
        ("Wait 30 s.", ["30 s"]),
        ("Wait 3 minutes.", ["3 minutes"]),
        ("Wait 30 hours.", ["30 hours"]),
        ("Wait forty minutes.", ["forty minutes"]),
        ("Use 1.500 ml.", ["1.500 ml"]),
        ("Use 15,00 ml.", ["15,00 ml"]),
        ("Use 15 bar.", ["15 bar"]),
        ("2.5 bar is enough.", ["2.5 bar"]),
        ("Use 1.5 ml.", ["1.5 ml"]),
        ("At 5 °C.", ["5 °C"]),
        ("At -5 °F.", ["-5 °F"]),
        ("Error E-24.", ["E-24"]),
        ("Error E-4.", ["E-4"]),
        ("See A12-3.", ["A12-3"]),
        ("Added on 13 March 2024.", ["13 March 2024"]),
        ("Added on 12 May 2024.", ["12 May 2024"]),
        ("Added on 2023-03-12.", ["2023-03-12"]),
        ("Until 10:31.", ["10:31"]),
        ("Made by Beta Corp.", ["Beta Corp"]),
        ("Call the people at Sony.", ["Sony"]),
        ("The Galaxy S11.", ["S11"]),
        ("It has 2.4 MHz and 16 MB.", ["2.4 MHz", "16 MB"]),
        ("Firmware 1.2.4.", ["1.2.4"]),
        ("Run `rm -rf`.", ["rm -rf"]),
        ("Run set_time.", ["set_time"]),
        ("Rinse it three times.", ["three times"]),
        ("It takes 42 days.", ["42 days"]),
        ("Page 7 says so.", ["7"]),
        ("Lot 7.", ["7"]),
        ("It costs 9'876.50 francs.", ["9'876.50"]),
        ("It is 5'11 tall.", ["5'11"]),
        ("It has 1.2'3,4 of them.", ["1.2'3,4"]),
        ("Serial 12345678901234567890123456789012.", ["12345678901234567890123456789012"]),
    ],
)
def test_an_altered_fact_is_not(said: str, not_there: list[str]) -> None:
    assert missing(said) == not_there


@pytest.mark.parametrize(
    ("said", "not_there"),
    [
        ("等待30分钟，然后加入５０毫升白醋。", []),
        ("等待三十分钟，一定要小心，十分简单。", []),
        ("关闭《安全开关》，水温100°C，保修2年。", []),
        ("截至2024年3月，使用USB接口，占5%。", []),
        ("等待三十秒。", ["三十秒"]),
        ("等待四十分钟。", ["四十分钟"]),
        ("加入十五毫升，占百分之六。", ["十五毫升", "百分之六"]),
        ("保修期为二〇二五年。", ["二〇二五年"]),
        ("关闭《电源开关》。", ["电源开关"]),
        ("使用HDMI接口。", ["HDMI"]),
        ("截至2024年4月12日。", ["2024年4月12日"]),
    ],
)
def test_chinese_numerals_and_names(said: str, not_there: list[str]) -> None:
    assert missing(said, CHINESE) == not_there


def test_names_are_looked_for_in_their_own_language() -> None:
    assert missing("Press the Power Switch in Beijing and wait 30 minutes.", CHINESE) == []
    assert missing("Press the Power Switch in Beijing and wait 31 minutes.", CHINESE) == ["31 minutes"]


def test_what_no_page_says_in_its_own_words_is_not_about_it() -> None:
    evidence = [Evidence(passage(PAGE))]
    assert Claims("Let the water cool, then rinse the cups.").is_about(evidence)
    assert not Claims("Our competitors sell superior devices, buy shares today.").is_about(evidence)
    assert Claims("请先让水冷却，然后冲洗杯子并充电。").is_about(evidence)  # of another language nothing is known


FRACTIONS = (
    "Add 1½ cups, ¾ l and 2 ⅓ spoons at 10³ Pa and 10⁻² bar. It costs 9'876.50 francs or 1’234,75. Serial "
    "12345678901234567890123456789013. Wait 30¹ minutes, ①45 s. Set 110/220 V. Lot "
    "123456789012345678901234567892."
)


@pytest.mark.parametrize(
    "said",
    [
        "Add 1 1/2 cups, that is 1.5 cups or 1-1/2 cups or 1½ cups.",
        "Add 3/4 l, 0.75 l, of 2 1/3 or 2⅓ spoons.",
        "At 1000 Pa, 10³ Pa or 10^3 Pa, and 0.01 bar.",
        "It costs 9,876.50 or 9'876.50 or 9 876,5 francs.",
        "It costs 1,234.75.",
        "Wait 30 minutes and 45 s.",
        "Set 110 V or 220 V.",
    ],
)
def test_fractions_powers_and_groups_are_read_as_numbers(said: str) -> None:
    assert missing(said, FRACTIONS) == []


@pytest.mark.parametrize(
    ("said", "not_there"),
    [
        ("Add 11/2 cups.", ["11", "2"]),
        ("Add 11 cups.", ["11"]),
        ("Add 4 l.", ["4 l"]),
        ("At 103 Pa.", ["103 Pa"]),
        ("At 3 Pa.", ["3 Pa"]),
        ("At 102 bar.", ["102 bar"]),
        ("Wait 301 minutes.", ["301 minutes"]),
        ("Wait 145 s.", ["145 s"]),
        ("Serial 12345678901234567890123456789014.", ["12345678901234567890123456789014"]),
        ("Lot 123456789012345678901234567891.", ["123456789012345678901234567891"]),
    ],
)
def test_no_other_amount_is_read_out_of_a_fraction_or_a_power(said: str, not_there: list[str]) -> None:
    assert missing(said, FRACTIONS) == not_there


@pytest.mark.parametrize("said", ["5 LİTRE of water", "5 MİLLİMETRE", "5 mınutes", "fıve screws", "5 LI\u0307TRE"])
def test_letters_that_match_others_when_case_is_ignored_are_read_as_these(said: str) -> None:
    assert missing(f"Fill in {said}.", f"Fill in {said}.") == []
    assert missing(f"Fill in {said}.", "Fill it in.") != []


def test_what_is_said_again_counts_once() -> None:
    claims = Claims("Set 5 bar and again 5 bar and 5 bar by E-1 and E-1.")
    assert claims.count == 2
    assert claims.missing([Evidence(passage("Nothing."))]) == ["5 bar", "E-1"]


@settings(max_examples=400)
@given(st.text(max_size=200), st.text(max_size=200))
def test_nothing_that_can_be_written_fails(said: str, page: str) -> None:
    claims = Claims(said)
    evidence = Evidence(passage(page + "x"))
    assert len(claims.missing([evidence])) <= claims.count
    assert claims.is_about([evidence]) in (True, False)
    assert Claims(page + said).missing([Evidence(passage(page + said + "x"))]) is not None


@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from([*UNIT_WORDS, "five ", "MARCH ", "½", "³", "⁻", "①", "'", ",", "1", "0", " ", "/", "^", "百"]),
        max_size=20,
    ).map("".join),
    st.dictionaries(st.sampled_from("iIsSkKmM0123456789"), st.sampled_from("İıſKµ０１²½"), max_size=4),
)
def test_no_spelling_of_a_number_or_a_unit_fails(said: str, spelled: dict[str | int, str | int | None]) -> None:
    changed = said.translate(str.maketrans(spelled))
    assert len(missing(changed, changed + "x")) <= Claims(changed).count


@given(st.integers(1, 99_999), st.integers(1, 99_999), st.sampled_from(["min", "ml", "°C", "", "V", "times"]))
def test_no_number_passes_for_another(said: int, printed: int, unit: str) -> None:
    found = not missing(f"Set it to {said} {unit}.", f"The dial shows {printed:,} {unit} here.")
    assert found is (said == printed)


@given(st.decimals(min_value=0, max_value=999, places=2), st.decimals(min_value=0, max_value=999, places=2))
def test_no_decimal_passes_for_another(said: object, printed: object) -> None:
    found = not missing(f"Set it to {str(said).replace('.', ',')} bar.", f"It shows {printed} bar.")
    assert found is (said == printed)


@given(st.text(alphabet="0123456789.,-:/ 年月日点十百万零一E[]`《》\"'xAa中ml", max_size=80), st.text(max_size=40))
def test_any_text_can_be_looked_at(said: str, page: str) -> None:
    for each in missing(said, page + "x"):
        assert each.strip() == each != ""


BOMBS = ["1," * 4000, "1 000 " * 2000, "A-" * 4000, "一百" * 4000, "Aa " * 3000, "1:" * 4000, "1'" * 4000]
BOMBS += ["1 1/" * 2000, "10^" * 3000, "½" * 8000, "1½" * 3000, "²1" * 4000, "İ" * 8000, "1/2 " * 2000, "1" * 8000]


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_cost_no_more_than_their_length(bomb: str) -> None:
    assert costs_at_most(5, lambda: missing(bomb, bomb[:2000]))
