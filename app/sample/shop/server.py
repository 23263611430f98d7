"""The demonstration shop as a web site of its own origin: its pages, and beside them its orders API.

Owns the routes, the Content-Security-Policy and the environment that the process is told of. The policy is the strict
one that a careful site has: scripts and connections to the API of the widget alone, no inline anything.
"""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from app.sample.shop.api import Shop
from app.sample.shop.goods import ARTICLES, Article, Language
from app.sample.shop.pages import Desk, article_page, front_page

PORT, API, SITE, TOKEN = "SHOP_PORT", "SHOP_API", "SHOP_SITE", "ANSWERDESK_SECRET_SHOP_TOKEN"
"""Of the environment: where to listen, where the widget's API is, which site of it, and the orders API's secret."""

HOST = "127.0.0.1"

_FILES = Path(__file__).with_name("files")


def shop_site(desk: Desk, token: str) -> Starlette:
    """The application. `token` is what flows bear when they ask for an order."""
    routes: list[BaseRoute] = []
    for root, language in _LANGUAGES:
        routes.append(Route(root, _front(desk, language)))
        routes += [Route(f"{root}{path}", _article(desk, article, language)) for path, article in ARTICLES.items()]
    routes += Shop(token).routes
    routes.append(Mount("/files", StaticFiles(directory=_FILES)))
    return Starlette(routes=routes, middleware=[Middleware(BaseHTTPMiddleware, dispatch=_with_policy(desk.api))])


_LANGUAGES: tuple[tuple[str, Language], ...] = (("/", "en"), ("/zh/", "zh"))
_Page = Callable[[Request], Awaitable[Response]]


def _front(desk: Desk, language: Language) -> _Page:
    async def page(_: Request) -> Response:
        return HTMLResponse(front_page(desk, language))

    return page


def _article(desk: Desk, article: Article, language: Language) -> _Page:
    async def page(_: Request) -> Response:
        return HTMLResponse(article_page(desk, article, language))

    return page


def policy(api: str) -> str:
    """The Content-Security-Policy of every page."""
    return (
        f"default-src 'none'; script-src {api}; connect-src {api}; style-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    )


def _with_policy(api: str) -> Callable[[Request, RequestResponseEndpoint], Awaitable[Response]]:
    headers = {
        "content-security-policy": policy(api),
        "x-content-type-options": "nosniff",
        "referrer-policy": "strict-origin-when-cross-origin",
    }

    async def dispatch(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers.update(headers)
        return response

    return dispatch


def main() -> None:
    """Serves the shop until it is told to stop."""
    desk = Desk(os.environ[API].rstrip("/"), os.environ.get(SITE, ""))
    shop = shop_site(desk, os.environ[TOKEN])
    uvicorn.run(shop, host=HOST, port=int(os.environ[PORT]), log_level="warning", server_header=False)


if __name__ == "__main__":
    main()
