"""An Answerdesk for a measurement with the sample manuals in it, and the questions that come with them."""

import asyncio
import json
import tempfile
from pathlib import Path

import httpx

from app import sample
from app.sample.render import render_sample

NAME = "sample"


def sample_questions(language: str) -> list[str]:
    """The shipped questions of one language, unanswerable ones left out."""
    lines = (Path(sample.__file__).parent / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    asked = [json.loads(line) for line in lines]
    return [each["text"] for each in asked if each["language"] == language and each.get("answer")]


async def upload_sample(answerdesk: httpx.AsyncClient) -> None:
    """Makes the knowledge base and waits until a worker has read it."""
    (await answerdesk.post("/api/knowledge-bases", json={"name": NAME})).raise_for_status()
    with tempfile.TemporaryDirectory() as folder:
        files = [("files", (path.name, path.read_bytes())) for path in render_sample(Path(folder))]
    (await answerdesk.post(f"/api/knowledge-bases/{NAME}/documents", files=files)).raise_for_status()
    while True:
        answer = await answerdesk.get(f"/api/knowledge-bases/{NAME}/documents")
        documents = answer.raise_for_status().json()["documents"]
        if any(each["status"] in ("failed", "cancelled") for each in documents):
            raise RuntimeError(f"the sample manuals could not be read: {documents}")
        if all(each["status"].startswith("ready") for each in documents):
            return
        await asyncio.sleep(0.3)
