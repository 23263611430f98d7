"""`answerdesk kb export` and `answerdesk kb import`: a knowledge base to a file and back.

Owns what happens on the disk around the file. What is in it is `app.bundle.format`.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.bundle.export import export_bundle
from app.bundle.importing import import_bundle
from app.cli_verbs import SCOPE, services_for
from app.document_filters import apply_filters
from app.errors import BadRequest
from app.knowledge_bases import get_knowledge_base
from app.models import new_id
from app.settings import Settings
from rag.errors import IndexBusy


def export(settings: Settings, name: str, path: Path, overwrite: bool) -> dict[str, Any]:
    """Writes the file under a name of its own and renames it when it is complete. Returns its manifest."""
    if path.exists() and not overwrite:
        raise BadRequest(f"{path} exists already; say --overwrite to replace it.")
    if not path.parent.is_dir():
        raise BadRequest(f"There is no folder {path.parent}.")
    services = services_for(settings)
    partial = path.with_name(f".{path.name[:100]}.{new_id()}.partial")
    try:
        with partial.open("xb") as file:
            manifest = export_bundle(services, SCOPE, name, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return {"file": str(path), "bytes": path.stat().st_size, **manifest.model_dump(mode="json")}


def import_(settings: Settings, path: Path, name: str) -> dict[str, Any]:
    """Imports, and writes the index, so that the first question need not wait for it."""
    services = services_for(settings)
    imported = import_bundle(services, SCOPE, path, name or None)
    apply_filters(services, imported.knowledge_base.id)
    if not imported.warnings:
        with suppress(IndexBusy):  # then a worker is at it
            services.index(imported.knowledge_base).write_snapshot(services.passages(imported.knowledge_base))
    shape = get_knowledge_base(services, SCOPE, imported.knowledge_base.id)
    return {"knowledge_base": shape.model_dump(mode="json"), "warnings": imported.warnings}
