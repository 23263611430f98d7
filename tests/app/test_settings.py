"""Settings: closed by default, honest about mistakes, silent about secrets."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from app.settings import ServerSettings, Settings, UiSettings
from app.settings_reference import setting_rows
from ingestion.confined.sandbox import SandboxLimits
from ingestion.shown.page_drawer import DrawingLimits

KEY = SecretStr("a key of more than sixteen characters")


def settings(**sections: object) -> Settings:
    return Settings(_env_file=None, **sections)  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "answers.example.com"])
def test_nothing_listens_beyond_loopback_by_accident(host: str) -> None:
    with pytest.raises(ValidationError, match="ANSWERDESK_SERVER__ADMIN_KEY"):
        settings(server=ServerSettings(host=host))
    with pytest.raises(ValidationError, match="ANSWERDESK_UI__EXPOSED"):
        settings(ui=UiSettings(host=host))
    assert settings(server=ServerSettings(host=host, admin_key=KEY), ui=UiSettings(host=host, exposed=True))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.3.2.1"])
def test_loopback_needs_no_key(host: str) -> None:
    assert settings(server=ServerSettings(host=host), ui=UiSettings(host=host))


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "http://127.0.0.1:8080"), ("::", "http://[::1]:8080"), ("10.0.0.2", "http://10.0.0.2:8080")],
)
def test_our_own_programs_reach_the_api_wherever_it_listens(host: str, address: str) -> None:
    assert settings(server=ServerSettings(host=host, admin_key=KEY)).api_address == address


def test_a_mistake_in_a_name_or_value_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ANSWERDESK_SERVER__PROT=9000\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValidationError, match="prot"):
        Settings()
    monkeypatch.setenv("ANSWERDESK_SERVER__PORT", "99999")
    with pytest.raises(ValidationError, match=r"(?s)port.*65535"):
        settings()


def test_what_a_file_may_cost_is_the_same_with_settings_and_without() -> None:
    ingestion = settings().ingestion
    stated = SandboxLimits(ingestion.parser_memory_mb, ingestion.page_timeout_s, ingestion.parser_timeout_s)
    assert stated == SandboxLimits()
    assert DrawingLimits(ingestion.parser_memory_mb) == DrawingLimits()


def test_secrets_are_never_shown() -> None:
    secret = settings(server=ServerSettings(admin_key=KEY))
    shown = f"{secret!r} {setting_rows(secret)}"
    assert KEY.get_secret_value() not in shown
    assert "(set)" in shown
