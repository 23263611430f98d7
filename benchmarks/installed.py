"""An installation that benchmarks share: knowledge bases are read into it once and found there the next time."""

import hashlib
import shutil
from pathlib import Path

from sqlalchemy import select

from app.bootstrap import Services, build_services
from app.cli_verbs import SCOPE, migrate
from app.documents import accept
from app.knowledge_bases import NewKnowledgeBase, create_knowledge_base
from app.models import KnowledgeBase
from app.settings import Settings
from app.uploads import ReceivedFile, Upload
from app.worker import run_until_idle


def services_in(home: Path) -> Services:
    """The services of the installation in this folder, made if it is missing."""
    settings = Settings(home=home)
    migrate(settings)
    services = build_services(settings)
    services.prepare()
    return services


def knowledge_base(services: Services, name: str, file: Path) -> KnowledgeBase:
    """The knowledge base of this name; the file is read into it when there is none yet."""
    row = _row(services, name)
    if row is None:
        create_knowledge_base(services, SCOPE, NewKnowledgeBase(name=name))
        folder = services.settings.files_folder / "incoming" / name
        folder.mkdir(parents=True, exist_ok=True)
        copy = shutil.copyfile(file, folder / file.name)
        content_hash = hashlib.sha256(copy.read_bytes()).hexdigest()
        received = ReceivedFile(file.name, copy, copy.stat().st_size, content_hash)
        accept(services, SCOPE, name, Upload(files=[received]))
        run_until_idle(services)
        row = _row(services, name)
        assert row is not None
    return row


def _row(services: Services, name: str) -> KnowledgeBase | None:
    with services.database.read() as session:
        return session.scalars(select(KnowledgeBase).where(KnowledgeBase.name == name)).first()
