"""How `answerdesk run` speaks to the API that it starts: with the admin key, or with a key of this run alone.

Owns the run's key: where people have to sign in and no admin key is set, the run would be refused by its own API. It is
made anew at each start and given to the API's process only; without accounts it changes nothing for anybody else.
"""

import secrets

import httpx
from pydantic import SecretStr

from app.settings import Settings


def with_run_key(settings: Settings) -> Settings:
    """The settings, with a key for this run."""
    key = SecretStr(secrets.token_urlsafe(32))
    return settings.model_copy(update={"server": settings.server.model_copy(update={"run_key": key})})


def run_key_environment(settings: Settings) -> dict[str, str]:
    """What the API's process has to be started with to know the run's key."""
    key = settings.server.run_key
    return {"ANSWERDESK_SERVER__RUN_KEY": key.get_secret_value()} if key else {}


def key_header(settings: Settings) -> dict[str, str]:
    key = settings.server.admin_key or settings.server.run_key
    return {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}


def api_client(settings: Settings) -> httpx.Client:
    """A client of our own API, as its admin."""
    return httpx.Client(base_url=settings.api_address, headers=key_header(settings), timeout=60, trust_env=False)
