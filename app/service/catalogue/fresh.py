"""Prices and stock of now: asked from a company's own API where an admin has set one up, else what the file said.

Owns the file that says how (`catalogue.yaml` in the home folder), the calls and their bounds. A figure that does not
come in time, or is none, is the file's, marked as such: nothing is made up.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import httpx
import jmespath
import yaml
from jmespath.exceptions import JMESPathError
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from app.errors import Conflict
from app.service.catalogue.products import FoundProduct, PriceSource

_LOG = logging.getLogger(__name__)

_LARGEST_ANSWER = 1_000_000
_AT_ONCE = 10
_LARGEST_NUMBER = 1e12
_SECRET = re.compile(r"\$\{secret\.([A-Z][A-Z0-9_]*)\}")


class Source(BaseModel):
    """How one catalogue's figures are asked for: `{sku}` in the address, JMESPath for what is in the answer."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/{}@]+/[^\s]*\{sku\}[^\s]*$", max_length=2000)]
    headers: dict[str, str] = Field({}, max_length=20)
    price: str | None = "price"
    stock: str | None = "stock"
    currency: str | None = None
    timeout_s: float = Field(1.0, gt=0, le=10, description="For all products of a result together.")

    @field_validator("price", "stock", "currency")
    @classmethod
    def _compiles(cls, expression: str | None) -> str | None:
        if expression is not None:
            try:
                jmespath.compile(expression)
            except JMESPathError as error:
                raise ValueError(f"{expression!r} is not JMESPath: {error}") from error
        return expression


@dataclass(frozen=True, slots=True)
class _Read:
    stamp: tuple[int, int]
    sources: dict[str, Source]


class FreshFigures:
    """Safe for threads. The file is read again when it has changed."""

    def __init__(
        self, file: Path, secret: Callable[[str], str | None], transport: httpx.BaseTransport | None = None
    ) -> None:
        self._file = file
        self._secret = secret
        self._client = httpx.Client(transport=transport, follow_redirects=False, trust_env=False)
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fresh-figures")
        self._read: _Read | None = None

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def source_of(self, knowledge_base: str) -> Source | None:
        """The source of the catalogue of that name. Raises `Conflict` when the file has mistakes."""
        try:
            stat = self._file.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Conflict(f"{self._file} cannot be read: {error.strerror}.", {"file": str(self._file)}) from error
        stamp = (stat.st_mtime_ns, stat.st_size)
        if self._read is None or self._read.stamp != stamp:
            self._read = _Read(stamp, _sources(self._file))
        return self._read.sources.get(knowledge_base)

    def of(self, knowledge_base: str, products: Sequence[FoundProduct]) -> tuple[FoundProduct, ...]:
        """The products with the figures of now, as many as come in time; the others as they were."""
        try:
            source = self.source_of(knowledge_base)
        except Conflict as error:
            _LOG.error("Prices and stock are the file's: %s", error)
            return tuple(products)
        if source is None or not products:
            return tuple(products)
        deadline = time.monotonic() + source.timeout_s
        waiting = [self._threads.submit(self._one, source, each, deadline) for each in products]
        fresh = []
        for product, future in zip(products, waiting, strict=True):
            try:
                fresh.append(future.result(max(0.0, deadline - time.monotonic())))
            except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError) as error:
                future.cancel()
                _LOG.warning("No figures for %s of %s: %s", product.sku, knowledge_base, type(error).__name__)
                fresh.append(product)
        return tuple(fresh)

    def _one(self, source: Source, product: FoundProduct, deadline: float) -> FoundProduct:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        address = source.url.replace("{sku}", quote(product.sku, safe=""))
        headers = {name: self._filled(value) for name, value in source.headers.items()}
        headers |= {"Accept-Encoding": "identity"}  # a compressed answer is as large as it likes, once it is unpacked
        with self._client.stream("GET", address, headers=headers, timeout=left) as response:
            if response.status_code != 200:
                raise ValueError(f"status {response.status_code}")
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise ValueError("compressed, though nobody asked for that")
            body = b""
            for piece in response.iter_bytes():
                body += piece
                if len(body) > _LARGEST_ANSWER or time.monotonic() > deadline:
                    raise ValueError("too much, or too slow")
        try:
            answer = json.loads(body)
        except RecursionError as error:
            raise ValueError("nested too deep") from error
        return _with_figures(product, source, answer)

    def _filled(self, value: str) -> str:
        def known(match: re.Match[str]) -> str:
            found = self._secret(match[1])
            if found is None:
                raise ValueError(f"ANSWERDESK_SECRET_{match[1]} is not set")
            return found

        return _SECRET.sub(known, value)


def _with_figures(product: FoundProduct, source: Source, answer: object) -> FoundProduct:
    """The product with the answer's price and stock. Raises `ValueError` when the answer has neither."""
    price = _number(answer, source.price)
    stock = _number(answer, source.stock)
    currency = jmespath.search(source.currency, answer) if source.currency else None
    # What the API does not say stays the file's; then the whole counts as the file's, with its age.
    is_whole = (price is not None or source.price is None) and (stock is not None or source.stock is None)
    return replace(
        product,
        price=product.price if price is None else price,
        stock=product.stock if stock is None else int(stock),
        currency=currency if isinstance(currency, str) and len(currency) <= 8 else product.currency,
        source=PriceSource.API if is_whole else product.source,
        as_of=datetime.now(UTC) if is_whole else product.as_of,
    )


def _number(answer: object, expression: str | None) -> float | None:
    found = jmespath.search(expression, answer) if expression else None
    if not isinstance(found, int | float) or isinstance(found, bool):
        return None
    return float(found) if 0 <= found <= _LARGEST_NUMBER else None


def _sources(file: Path) -> dict[str, Source]:
    try:
        given = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        if not isinstance(given, dict):
            raise ValueError("must map names of knowledge bases to sources")
        return {str(name): Source.model_validate(each) for name, each in given.items()}
    except (yaml.YAMLError, RecursionError) as error:  # whose own words quote the line, and with it maybe a secret
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "it is nested too deep"
        raise Conflict(f"{file} is no YAML: {where}.", {"file": str(file)}) from None
    except (OSError, ValueError, ValidationError) as error:
        raise Conflict(f"{file} cannot be used: {error}", {"file": str(file)}) from error
