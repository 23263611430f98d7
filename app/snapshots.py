"""When the index snapshots of generations are written.

Readers see what is stored at once, through SQL; a snapshot makes that cheap. It is written before a job's documents are
called ready, unless more sources for the same generation wait: then it is put off until the last one, or until a
quarter more has come than the last snapshot had. A snapshot that fails fails no document. How one is written is in
`rag.index`.
"""

import logging
import time
from dataclasses import dataclass

from sqlalchemy import func, select

from app.bootstrap import Services
from app.errors import NotFound
from app.generation_state import FOLLOWED, GenerationStatus
from app.jobs import LIVE
from app.models import Generation, Job, KnowledgeBase, Passage
from rag.errors import IndexBusy, RagError

_LOG = logging.getLogger(__name__)

_SMALL_TAIL = 2_000  # passages after a snapshot that cost a question little
_SHORTEST_PAUSE_S = 10.0
_LONGEST_PAUSE_S = 600.0


@dataclass(slots=True)
class _Written:
    """What is known of a generation's last snapshot, why the next one failed, and when it is tried again.

    `not_before` in monotonic seconds.
    """

    change: int = 0
    passages: int = 0
    not_before: float = 0.0
    pause_s: float = 0.0
    problem: str = ""


class SnapshotWriter:
    """Writes the snapshots of all generations but those at rest; `rag.index` lets one process at a time write each."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._written: dict[str, _Written] = {}

    def write_due(self) -> None:
        """Writes every snapshot that is due: also after deletions, which no job does."""
        in_use = Generation.status.in_((GenerationStatus.ACTIVE, *FOLLOWED))
        with self._services.database.read() as session:
            changes = dict(session.execute(select(Generation.id, Generation.change).where(in_use)).all())
        self._written = {id_: known for id_, known in self._written.items() if id_ in changes}
        for id_, change in changes.items():
            if change > self._known(id_).change:
                self.write_if_due(id_)

    def write_if_due(self, generation_id: str, besides: str = "") -> None:
        """Writes one snapshot unless it had better wait for other jobs than `besides`. Logs why it could not."""
        known = self._known(generation_id)
        with self._services.database.read() as session:
            generation = session.get(Generation, generation_id)
            knowledge_base = session.get(KnowledgeBase, generation.knowledge_base_id) if generation else None
            if generation is None or knowledge_base is None or time.monotonic() < known.not_before:
                return
            of_generation = Passage.generation_id == generation_id
            tail_query = select(func.count()).where(of_generation, Passage.added_change > known.change)
            tail = session.scalar(tail_query) or 0
            answers = knowledge_base.generation_id == generation_id
            comes_more = session.scalar(
                select(Job.id)
                .where(
                    Job.knowledge_base_id == knowledge_base.id,
                    Job.generation_id.is_(None) if answers else Job.generation_id == generation_id,
                    Job.status.in_(LIVE),
                    Job.id != besides,
                )
                .limit(1)
            )
        if comes_more is not None and tail <= max(_SMALL_TAIL, known.passages // 4):
            return
        if self._write(generation, knowledge_base.name) is None:
            known.passages += tail

    def write(self, generation: Generation) -> str | None:
        """Writes one snapshot now; the reason, which is also in the log, when it could not be, now or a while ago.

        Raises `NotFound` when the knowledge base has been deleted.
        """
        known = self._known(generation.id)
        if time.monotonic() < known.not_before:
            return known.problem
        with self._services.database.read() as session:
            knowledge_base = session.get(KnowledgeBase, generation.knowledge_base_id)
        if knowledge_base is None:
            raise NotFound("The knowledge base has been deleted.", {"knowledge_base": generation.knowledge_base_id})
        return self._write(generation, knowledge_base.name)

    def _write(self, generation: Generation, name: str) -> str | None:
        known, open_ = self._known(generation.id), self._services.generations
        try:
            known.change = open_.index(generation).write_snapshot(open_.store(generation))
            known.pause_s = 0.0
            return None
        except IndexBusy as error:
            _LOG.info("The snapshot of %s has to wait: %s", name, error)
            known.problem = f"Its index is being written elsewhere: {error}"
        except NotFound as error:  # deleted meanwhile; what is left of the folder an idle worker removes
            _LOG.info("The snapshot of %s is not written: %s", name, error.message)
            known.problem = error.message
        except (RagError, OSError) as error:
            _LOG.error("The snapshot of %s could not be written: %s", name, error)
            known.problem = f"Its index could not be written ({error}); a worker tries again."
        known.pause_s = min(max(2 * known.pause_s, _SHORTEST_PAUSE_S), _LONGEST_PAUSE_S)
        known.not_before = time.monotonic() + known.pause_s
        return known.problem

    def _known(self, generation_id: str) -> _Written:
        return self._written.setdefault(generation_id, _Written())
