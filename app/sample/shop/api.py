"""The demonstration shop's orders and returns over HTTP, as a company's own system would give them to flows.

Owns its orders, which are the same at every start, with days counted from today, and its returns, in memory. Some
orders are made to fail. Not part of the product: it shows what flows call, and tests call it.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

_MACHINE = {"sku": "LT-300", "name": {"en": "LT-300 coffee machine", "zh": "LT-300 咖啡机"}, "price": 649.0}
_LARGE_MACHINE = {"sku": "LT-300S", "name": {"en": "LT-300S coffee machine", "zh": "LT-300S 咖啡机"}, "price": 899.0}
_FILTER = {"sku": "WF-3", "name": {"en": "Water filter, pack of 3", "zh": "滤水芯（3 个装）"}, "price": 39.0}
_BOX = {"sku": "TB-30", "name": {"en": "Transport box TB-30", "zh": "运输箱 TB-30"}, "price": 25.0}

# number: (status, days from today to delivery, items, returns the customer has made before)
_ORDERS: dict[str, tuple[str, int | None, tuple[dict[str, Any], ...], int]] = {
    "OR-10021": ("delivered", -10, (_MACHINE, _FILTER), 0),
    "OR-10022": ("shipped", 2, (_LARGE_MACHINE,), 0),
    "OR-10023": ("processing", 6, (_FILTER, _BOX), 0),
    "OR-10024": ("lost", None, (_MACHINE,), 0),
    "OR-10025": ("delivered", -95, (_FILTER,), 0),
    "OR-10026": ("cancelled", None, (_FILTER,), 0),
    "OR-10027": ("delivered", -5, (_LARGE_MACHINE, _MACHINE), 4),
}

FAILING, SLOW, MALFORMED, HUGE = "OR-99500", "OR-99408", "OR-99200", "OR-99413"
"""Orders whose answer is an error, comes too late, is no JSON, or is far too large."""

_Handler = Callable[[Request], Awaitable[Response]]


@dataclass
class Shop:
    """Give `routes` to a Starlette application. Every request must bear `token`."""

    token: str
    today: date = field(default_factory=lambda: datetime.now(UTC).date())
    slow_s: float = 30.0
    returns: dict[str, dict[str, Any]] = field(default_factory=dict)  # by number
    keys: dict[str, str] = field(default_factory=dict)  # number of the return by Idempotency-Key
    requests: list[str] = field(default_factory=list)  # what was asked for, oldest first

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/orders/{number}", self._signed(self._order), methods=["GET"]),
            Route("/returns", self._signed(self._return), methods=["POST"]),
        ]

    def _signed(self, handler: _Handler) -> _Handler:
        async def handled(request: Request) -> Response:
            self.requests.append(f"{request.method} {request.url.path}")
            given = request.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
                return JSONResponse({"error": "the token is missing or wrong"}, 401)
            return await handler(request)

        return handled

    async def _order(self, request: Request) -> Response:
        number = request.path_params["number"]
        if number == FAILING:
            return JSONResponse({"error": "the database is being repaired"}, 500)
        if number == SLOW:
            await asyncio.sleep(self.slow_s)
        if number == MALFORMED:
            return PlainTextResponse("<html>maintenance</html>")
        if number == HUGE:
            return JSONResponse({"status": "delivered", "note": "x" * 4_000_000})
        if number not in _ORDERS:
            return JSONResponse({"error": "there is no such order"}, 404)
        return JSONResponse(self._order_data(number))

    def _order_data(self, number: str) -> dict[str, Any]:
        status, days, items, returned = _ORDERS[number]
        delivery = None if days is None else (self.today + timedelta(days=days)).isoformat()
        return {
            "number": number,
            "status": status,
            "delivery": delivery,
            "days_since_delivery": -days if days is not None and status == "delivered" else None,
            "items": list(items),
            "total": sum(item["price"] for item in items),
            "currency": "EUR",
            "returns_before": returned,
        }

    async def _return(self, request: Request) -> Response:
        """Makes a return, or gives the one that was made with the same key."""
        key = request.headers.get("idempotency-key", "")
        if key in self.keys:
            return JSONResponse(self.returns[self.keys[key]], 201)
        wanted = await request.json()
        number, sku = wanted.get("order"), wanted.get("sku")
        if number not in _ORDERS or sku not in [item["sku"] for item in _ORDERS[number][2]]:
            return JSONResponse({"error": "there is no such item"}, 404)
        if any((each["order"], each["sku"]) == (number, sku) for each in self.returns.values()):
            return JSONResponse({"error": "this item has a return already"}, 409)
        made = {"number": f"RT-{5001 + len(self.returns)}", "order": number, "sku": sku, "reason": wanted.get("reason")}
        self.returns[made["number"]] = made
        if key:
            self.keys[key] = made["number"]
        return JSONResponse(made, 201)
