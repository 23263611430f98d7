"""The part of the API that customer service is set up with: sites, intents, flows, FAQ, accounts, catalogue, figures.

Owns these addresses. How requests are made and what errors there are is `ui.client`'s. Knows nothing of Streamlit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ui.client import ApiClient, Json


@dataclass(frozen=True, slots=True)
class ServiceClient:
    """All methods raise `ApiError`."""

    api: ApiClient

    def dashboard(self, knowledge_base: str | None, days: int) -> Json:
        """`knowledge_base` None: all of them."""
        return self._json("GET", "/api/dashboard", params=_window(knowledge_base, days))

    def dashboard_csv(self, knowledge_base: str | None, days: int) -> bytes:
        return self.api.request("GET", "/api/dashboard.csv", params=_window(knowledge_base, days)).content

    def sites(self) -> list[Json]:
        found: list[Json] = self._json("GET", "/api/sites")["sites"]
        return found

    def create_site(self, name: str, knowledge_base: str, origins: Sequence[str]) -> Json:
        return self._json(
            "POST", "/api/sites", json={"name": name, "knowledge_base": knowledge_base, "origins": [*origins]}
        )

    def change_site(self, site: str, change: Mapping[str, object]) -> Json:
        """What is not named stays."""
        return self._json("PATCH", f"/api/sites/{_part(site)}", json=dict(change))

    def delete_site(self, site: str) -> None:
        self.api.request("DELETE", f"/api/sites/{_part(site)}")

    def intents(self, knowledge_base: str) -> Json:
        return self._json("GET", _intents(knowledge_base))

    def add_examples(self, knowledge_base: str, intent: str, texts: Sequence[str]) -> Json:
        return self._json("POST", _intents(knowledge_base), json={"intent": intent, "texts": [*texts]})

    def add_built_in_intents(self, knowledge_base: str) -> Json:
        return self._json("POST", f"{_intents(knowledge_base)}/built-in")

    def delete_intent(self, knowledge_base: str, intent: str) -> None:
        self.api.request("DELETE", f"{_intents(knowledge_base)}/{_part(intent)}")

    def delete_example(self, knowledge_base: str, intent: str, example: str) -> None:
        self.api.request("DELETE", f"{_intents(knowledge_base)}/{_part(intent)}/examples/{_part(example)}")

    def route(self, knowledge_base: str, sentence: str) -> Json:
        """Where a customer's first message would go."""
        return self._json("POST", f"{_intents(knowledge_base)}/test", json={"text": sentence})

    def flows(self) -> Json:
        return self._json("GET", "/api/flows")

    def flow(self, name: str) -> Json:
        """With its source and its versions."""
        return self._json("GET", f"/api/flows/{_part(name)}")

    def check_flow(self, source: str) -> list[Json]:
        """What is wrong with it."""
        problems: list[Json] = self._json("POST", "/api/flows/check", json={"source": source})["problems"]
        return problems

    def save_flow(self, name: str, source: str) -> Json:
        return self._json("PUT", f"/api/flows/{_part(name)}", json={"source": source})

    def delete_flow(self, name: str) -> None:
        self.api.request("DELETE", f"/api/flows/{_part(name)}")

    def faq_candidates(self, knowledge_base: str | None, status: str, cursor: str | None = None) -> Json:
        """Newest first, a page at a time."""
        wanted = {"knowledge_base": knowledge_base, "status": status, "cursor": cursor}
        return self._json("GET", "/api/faq-candidates", params={name: each for name, each in wanted.items() if each})

    def approve_faq(self, candidate: str, question: str, answer: str, *, public: bool) -> None:
        body = {"question": question, "answer": answer, "public": public}
        self.api.request("POST", f"/api/faq-candidates/{_part(candidate)}/approve", json=body)

    def dismiss_faq(self, candidate: str) -> None:
        self.api.request("POST", f"/api/faq-candidates/{_part(candidate)}/dismiss")

    def accounts(self) -> list[Json]:
        found: list[Json] = self._json("GET", "/api/accounts")["accounts"]
        return found

    def create_account(self, new: Mapping[str, object]) -> Json:
        """`email`, `name`, `role`, `groups` and `password`."""
        return self._json("POST", "/api/accounts", json=dict(new))

    def change_account(self, account: str, change: Mapping[str, object]) -> Json:
        """What is not named stays."""
        return self._json("PATCH", f"/api/accounts/{_part(account)}", json=dict(change))

    def catalogue(self, knowledge_base: str) -> Json:
        return self._json("GET", _catalogue(knowledge_base))

    def upload_catalogue(self, knowledge_base: str, name: str, content: bytes) -> Json:
        return self._json("PUT", _catalogue(knowledge_base), files={"files": (name, content)})

    def delete_catalogue(self, knowledge_base: str) -> None:
        self.api.request("DELETE", _catalogue(knowledge_base))

    def search_products(self, knowledge_base: str, query: str, limit: int) -> Json:
        return self._json("GET", f"{_catalogue(knowledge_base)}/search", params={"q": query, "limit": limit})

    def compare_products(self, knowledge_base: str, first: str, second: str) -> Json:
        return self._json("GET", f"{_catalogue(knowledge_base)}/compare", params={"a": first, "b": second})

    def _json(self, method: str, path: str, **arguments: Any) -> Json:
        body: Json = self.api.request(method, path, **arguments).json()
        return body


def _part(text: str) -> str:
    """Text from outside as one part of a path."""
    return quote(text, safe="")


def _intents(knowledge_base: str) -> str:
    return f"/api/knowledge-bases/{_part(knowledge_base)}/intents"


def _catalogue(knowledge_base: str) -> str:
    return f"/api/knowledge-bases/{_part(knowledge_base)}/catalogue"


def _window(knowledge_base: str | None, days: int) -> dict[str, str | int]:
    return {"days": days, **({"knowledge_base": knowledge_base} if knowledge_base else {})}
