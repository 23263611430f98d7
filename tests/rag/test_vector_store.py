import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from rag.vector_store import FaissVectorStore
from tests.rag.corpus import EMBEDDER


@pytest.mark.anyio
class TestStandard(VectorStoreIntegrationTests):
    anyio_backend = pytest.fixture(lambda self: "asyncio")

    @pytest.fixture
    def vectorstore(self) -> VectorStore:
        return FaissVectorStore(self.get_embeddings())


def test_nearest_first_and_filtered() -> None:
    store = FaissVectorStore(EMBEDDER)
    store.add_documents(
        [Document(text, id=text, metadata={"n": len(text)}) for text in ("pump", "pump valve", "steam")]
    )
    [(first, cosine), *_] = store.similarity_search_with_score("pump", k=2)
    assert first.id == "pump"
    assert cosine == pytest.approx(1)
    [found] = store.similarity_search("pump", k=1, filter=lambda document: document.metadata["n"] == 10)
    assert found.id == "pump valve"
    assert store.delete()
    assert store.similarity_search("pump") == []
