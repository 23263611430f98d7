"""The language of documents: scripts, small words, mixtures, and nothing where there is too little to tell."""

from collections.abc import Sequence

import pytest

from ingestion.language import LanguageCount

TEXTS = {
    "en": "Press and hold the power button for five seconds. If the light does not turn green, remove the battery.",
    "de": "Halten Sie die Taste fünf Sekunden lang gedrückt. Wenn die Anzeige nicht leuchtet, nehmen Sie den Akku.",
    "fr": "Appuyez sur le bouton pendant cinq secondes. Si le voyant ne s'allume pas, retirez la batterie.",
    "es": "Mantenga pulsado el botón durante cinco segundos. Si la luz no se enciende, retire la batería del aparato.",
    "it": "Tenere premuto il pulsante per cinque secondi. Se la spia non si accende, rimuovere la batteria.",
    "pt": "Prima o botão durante cinco segundos. Se a luz não acender, retire a bateria do aparelho.",
    "nl": "Houd de knop vijf seconden ingedrukt. Als het lampje niet brandt, verwijdert u de batterij.",
    "sv": "Håll knappen intryckt i fem sekunder. Om lampan inte tänds tar du ut batteriet och sätter in det igen.",
    "pl": "Przytrzymaj przycisk przez pięć sekund. Jeśli lampka nie świeci, wyjmij baterię z urządzenia.",
    "ru": "Нажмите и удерживайте кнопку пять секунд. Если индикатор не горит, извлеките батарею из устройства.",
    "zh": "请长按电源键五秒。如果指示灯没有变为绿色，请取出电池，然后重新安装。",
    "zh-Hant": "請長按電源鍵五秒。如果指示燈沒有變為綠色，請取出電池，然後重新安裝。",
    "ja": "電源ボタンを五秒間押し続けてください。ランプが点灯しない場合は、電池を取り外してください。",
    "ko": "전원 버튼을 5초 동안 길게 누르십시오. 표시등이 켜지지 않으면 배터리를 분리하십시오.",
    "el": "Πατήστε παρατεταμένα το κουμπί για πέντε δευτερόλεπτα.",
    "he": "לחץ והחזק את הלחצן במשך חמש שניות.",
    "th": "กดปุ่มเปิดปิดค้างไว้ห้าวินาที แล้วปล่อย",
}


def language_of(pages: Sequence[str]) -> str:
    count = LanguageCount()
    for page in pages:
        count.add(page)
    return count.language


@pytest.mark.parametrize("language", TEXTS)
def test_two_sentences_are_enough(language: str) -> None:
    assert language_of([TEXTS[language]]) == language


@pytest.mark.parametrize("language", ["en", "de", "fr", "zh", "zh-Hant"])
def test_names_and_commands_in_english_do_not_make_a_text_english(language: str) -> None:
    commands = "Galaxy S10 Bluetooth Wi-Fi OK sudo apt-get install gnuplot QN65Q60RAFXZA HDMI "
    assert language_of([TEXTS[language] + commands]) == language


def test_a_quotation_in_another_language_changes_nothing() -> None:
    assert language_of([TEXTS["en"] * 5 + TEXTS["zh-Hant"][:10]]) == "en"
    assert language_of([TEXTS["en"] * 3, TEXTS["de"]]) == "en"
    assert language_of([TEXTS["en"], TEXTS["de"] * 3]) == "de"
    assert language_of([TEXTS["zh"] + TEXTS["ja"][:2]]) == "zh"


def test_all_of_a_document_counts_not_its_beginning() -> None:
    assert language_of([TEXTS["en"]] * 30 + [TEXTS["fr"]] * 70) == "fr"


@pytest.mark.parametrize(
    "text", ["", "17", "LT-300", "Wi-Fi", "OK Cancel", "M10 42 Nm", "Taste", "...", "\u200b\ufffd\n", "तेज"]
)
def test_too_little_is_no_language(text: str) -> None:
    assert language_of([text]) == ""
