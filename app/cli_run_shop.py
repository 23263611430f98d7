"""The demonstration shop that `answerdesk run --sample` shows: a web site with the widget, on an origin of its own.

Owns what it needs of an installation (public manuals, a site, a catalogue, flows, decision tables) and how it starts.
All of it is made once in an installation's life: who changes or deletes it finds it so. Talks to the API as any client.
"""

import json
import secrets
import shutil
from pathlib import Path

import httpx

from app.processes import Child, python_child, require_free_port
from app.sample.shop import server
from app.sample.shop.goods import CATALOGUE
from app.settings import Settings

SITE_NAME = "shop"
CATALOGUE_NAME = "sample-catalogue"
PORT_SETTING = "ANSWERDESK_UI__SHOP_PORT"

_SHIPPED = Path(server.__file__).parent
_FLOWS = {"return_request": "return", "compare_products": "product_search", "stock": "product_search"}
"""What begins the flows that are not named like an intent."""

_GREETING = {
    "en": "Hello! Ask me about the machines, an order or a return. Answers come from the manuals, with the page.",
    "zh": "您好！机器使用、订单、退货，都可以问我。回答来自说明书，并附上出处页面。",
}


class DemonstrationShop:
    """One run's shop. `token` is the secret between its orders API and the flows that call it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._token = secrets.token_urlsafe(24)
        self.address = f"http://{server.HOST}:{settings.ui.shop_port}"
        self._origins = [self.address, f"http://localhost:{settings.ui.shop_port}"]
        self._was_made = settings.home_folder / "shop-was-made"

    def require_free_port(self) -> None:
        require_free_port(server.HOST, self._settings.ui.shop_port, PORT_SETTING)

    @property
    def environment(self) -> dict[str, str]:
        """What the API has to be started with: where flows find the shop's orders, and the secret for them."""
        urls = {"shop": self.address, **self._settings.service.flow_api_urls}
        return {server.TOKEN: self._token, "ANSWERDESK_SERVICE__FLOW_API_URLS": json.dumps(urls)}

    def install_files(self) -> None:
        """Puts the shop's flows and decision tables where the API looks for them; what is there already stays."""
        if self._was_made.exists():
            return
        _copy(_SHIPPED / "flows", self._settings.flows_folder, "*.yaml")
        _copy(_SHIPPED / "decisions", self._settings.decisions_folder, "*.json")

    def child(self, api: httpx.Client, knowledge_base: str) -> Child | None:
        """The shop's process, to be started; None when its site or its knowledge base was deleted by their owner."""
        if not self._was_made.exists():
            if not self._prepare(api, knowledge_base):
                return None
            self._was_made.touch()
        site = self._site(api)
        if site is None:
            return None
        environment = {
            server.PORT: str(self._settings.ui.shop_port),
            server.API: self._settings.api_address,
            server.SITE: site,
            server.TOKEN: self._token,
        }
        return python_child("shop", ["app.sample.shop.server"], self._settings.home_folder / "logs", environment)

    def _prepare(self, api: httpx.Client, knowledge_base: str) -> bool:
        """Makes the site, the manuals public and the service on; False without the knowledge base."""
        here = f"/api/knowledge-bases/{knowledge_base}"
        found = api.get(here)
        if found.status_code == httpx.codes.NOT_FOUND:
            return False
        own = found.raise_for_status().json()["settings"]
        api.put(f"{here}/public", json={"is_public": True}).raise_for_status()
        self._fill_catalogue(api)
        if "service" not in own:
            service = {
                "catalogue": CATALOGUE_NAME,
                "intents": {intent: {"flow": flow} for intent, flow in _FLOWS.items()},
            }
            api.patch(here, json={"settings": {"service": service}}).raise_for_status()
        new = {"name": SITE_NAME, "knowledge_base": knowledge_base, "settings": {"greeting": _GREETING}}
        made = api.post("/api/sites", json={**new, "origins": self._origins})
        if made.status_code != httpx.codes.CONFLICT:  # it may be there already, from a start that was cut off
            made.raise_for_status()
        return True

    def _fill_catalogue(self, api: httpx.Client) -> None:
        """The shop's products, with addresses of this shop's pages."""
        created = api.post("/api/knowledge-bases", json={"name": CATALOGUE_NAME})
        if created.status_code != httpx.codes.CONFLICT:
            created.raise_for_status()
        rows = CATALOGUE.read_text(encoding="utf-8").replace(",/products/", f",{self.address}/products/")
        file = {"files": (CATALOGUE.name, rows.encode())}
        api.put(f"/api/knowledge-bases/{CATALOGUE_NAME}/catalogue", files=file).raise_for_status()

    def _site(self, api: httpx.Client) -> str | None:
        """The site's id, with this shop's address among its origins."""
        found = api.get(f"/api/sites/{SITE_NAME}")
        if found.status_code == httpx.codes.NOT_FOUND:
            return None
        site = found.raise_for_status().json()
        origins = list(dict.fromkeys([*site["origins"], *self._origins]))
        if origins != site["origins"]:  # it has another port than last time
            api.patch(f"/api/sites/{site['id']}", json={"origins": origins}).raise_for_status()
        return str(site["id"])


def _copy(source: Path, target: Path, names: str) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.glob(names)):
        if not (target / file.name).exists():
            shutil.copyfile(file, target / file.name)
