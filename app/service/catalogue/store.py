"""Products in SQL: what a new file changes, replacing them in one transaction, and reading them all.

Owns the statements. Only products whose text has changed are embedded again; a price is no part of the text.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from app.db import Database, in_parts
from app.errors import Conflict
from app.models import now
from app.service.catalogue.index import text_of
from app.service.catalogue.products import Item
from app.service.tables import CatalogueFile, Product
from model_runtime.embedder import Embedder
from rag.types import Vectors

_EMBEDDED_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Replaced:
    """What a file did: products by what became of them, and how many were embedded."""

    products: int
    new: int
    changed: int
    removed: int
    unchanged: int
    embedded: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A catalogue as it is in SQL; vectors float16 [products, dimension], zeros where there is none of `embedder`."""

    change: int
    file: str
    uploaded_at: datetime
    items: tuple[Item, ...]
    vectors: Vectors


def change_of(session: Session, knowledge_base_id: str) -> int:
    """The number of the last replacement; 0 when there is no catalogue."""
    return session.scalar(select(CatalogueFile.change).where(CatalogueFile.knowledge_base_id == knowledge_base_id)) or 0


def replace_products(
    database: Database,
    knowledge_base_id: str,
    file: str,
    items: Sequence[Item],
    embedder: Embedder,
    told: Callable[[int, int], None] = lambda done, all_: None,
) -> Replaced:
    """Makes the catalogue these items, at once or not at all. Raises `Conflict` when another upload was quicker.

    `told` is called with the number of embedded texts and of all that are to be.
    """
    with database.read() as session:
        before = change_of(session, knowledge_base_id)
        known = _known(session, knowledge_base_id)
    hashes = [_hash(item) for item in items]
    texts = [_text_for(embedder, item) for item in items]
    to_embed = [
        number
        for number, (item, text) in enumerate(zip(items, texts, strict=True))
        if item.sku not in known or known[item.sku][1:] != (text, embedder.identity)
    ]
    vectors: dict[int, bytes] = {}
    for part in in_parts(to_embed, _EMBEDDED_AT_ONCE):
        made = embedder.embed_passages([texts[number] for number in part]).astype("<f2")
        vectors.update({number: row.tobytes() for number, row in zip(part, made, strict=True)})
        told(len(vectors), len(to_embed))
    with database.write() as session:
        if change_of(session, knowledge_base_id) != before:
            raise Conflict("Another file was taken for this catalogue in the meantime; send this one again.")
        counts = _write(session, knowledge_base_id, items, hashes, texts, known, vectors, embedder.identity)
        session.execute(delete(CatalogueFile).where(CatalogueFile.knowledge_base_id == knowledge_base_id))
        session.add(CatalogueFile(knowledge_base_id=knowledge_base_id, name=file, change=before + 1))
    return Replaced(len(items), *counts, embedded=len(to_embed))


def delete_products(session: Session, knowledge_base_id: str) -> int:
    """Empties the catalogue; gives how many products there were. Its change number goes on."""
    count = session.scalar(select(func.count()).where(Product.knowledge_base_id == knowledge_base_id)) or 0
    session.execute(delete(Product).where(Product.knowledge_base_id == knowledge_base_id))
    session.execute(
        update(CatalogueFile)
        .where(CatalogueFile.knowledge_base_id == knowledge_base_id)
        .values(change=CatalogueFile.change + 1, name="", uploaded_at=now())
    )
    return count


def stored(session: Session, knowledge_base_id: str, embedder: str, dimension: int) -> Stored | None:
    """The whole catalogue, in the order of its file; None when there never was one."""
    file = session.get(CatalogueFile, knowledge_base_id)
    if file is None:
        return None
    items: list[Item] = []
    vectors: list[bytes] = []
    nothing = bytes(2 * dimension)
    columns = (
        Product.sku,
        Product.name,
        Product.attributes,
        Product.price,
        Product.currency,
        Product.stock,
        Product.url,
    )
    rows = session.execute(
        select(*columns, Product.embedder, Product.vector)
        .where(Product.knowledge_base_id == knowledge_base_id)
        .order_by(Product.position)
        .execution_options(yield_per=5_000)
    )
    for sku, name, attributes, price, currency, stock, url, made_by, vector in rows:
        own = attributes["attributes"]
        items.append(Item(sku, name, attributes["description"], own, price, currency, stock, url))
        vectors.append(vector if made_by == embedder and len(vector) == len(nothing) else nothing)
    matrix = np.frombuffer(b"".join(vectors), "<f2").reshape(len(items), dimension)
    return Stored(file.change, file.name, file.uploaded_at, tuple(items), matrix)


def _known(session: Session, knowledge_base_id: str) -> dict[str, tuple[str, str, str]]:
    """Hash, text and embedder of the products there are, by SKU."""
    query = select(Product.sku, Product.content_hash, Product.text, Product.embedder)
    rows = session.execute(query.where(Product.knowledge_base_id == knowledge_base_id))
    return {sku: (content_hash, text, embedder) for sku, content_hash, text, embedder in rows}


def _write(
    session: Session,
    knowledge_base_id: str,
    items: Sequence[Item],
    hashes: Sequence[str],
    texts: Sequence[str],
    known: Mapping[str, tuple[str, str, str]],
    vectors: Mapping[int, bytes],
    embedder: str,
) -> tuple[int, int, int, int]:
    """Writes the difference; gives the numbers of new, changed, removed and unchanged products."""
    query = select(Product.sku, Product.key, Product.position).where(Product.knowledge_base_id == knowledge_base_id)
    places = {sku: (key, position) for sku, key, position in session.execute(query)}
    keys = {sku: key for sku, (key, _) in places.items()}
    gone = keys.keys() - {item.sku for item in items}
    for of_gone in in_parts(keys[sku] for sku in gone):
        session.execute(delete(Product).where(Product.key.in_(of_gone)))
    new: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    moved: list[dict[str, Any]] = []
    embedded: list[dict[str, Any]] = []
    at, unchanged = now(), 0
    for number, (item, content_hash) in enumerate(zip(items, hashes, strict=True)):
        if item.sku in keys and known[item.sku][0] == content_hash:
            unchanged += 1
            if places[item.sku][1] != number:
                moved.append({"key": keys[item.sku], "position": number})
        else:
            values = _values(item, number, content_hash, texts[number])
            if item.sku in keys:
                changed.append({"key": keys[item.sku], "updated_at": at, **values})
            else:
                made = {"embedder": embedder, "vector": vectors[number], "updated_at": at}
                new.append({"knowledge_base_id": knowledge_base_id, **values, **made})
                continue
        if number in vectors:
            embedded.append({"key": keys[item.sku], "embedder": embedder, "vector": vectors[number]})
    for rows in (changed, moved, embedded):
        if rows:
            session.execute(update(Product), rows)
    for part in in_parts(new, 1_000):
        session.execute(insert(Product), part)
    return len(new), len(changed), len(gone), unchanged


def _values(item: Item, position: int, content_hash: str, text: str) -> dict[str, Any]:
    return {
        "position": position,
        "sku": item.sku,
        "name": item.name,
        "text": text,
        "attributes": {"attributes": dict(item.attributes), "description": item.description},
        "price": item.price,
        "currency": item.currency,
        "stock": item.stock,
        "url": item.url,
        "content_hash": content_hash,
    }


def _hash(item: Item) -> str:
    return hashlib.sha256(json.dumps(asdict(item), ensure_ascii=False).encode()).hexdigest()


def _text_for(embedder: Embedder, item: Item) -> str:
    """The text that is embedded, cut to what the model reads."""
    text = text_of(item)
    room = embedder.max_tokens - embedder.overhead_tokens
    if len(text) <= room // 2:  # no model makes more than two tokens of a character
        return text
    offsets = embedder.token_offsets(text)
    # Cut at a token's end, a text may be cut into one token more; two are left free for that.
    return text if len(offsets) <= room else text[: offsets[room - 3][1]]
