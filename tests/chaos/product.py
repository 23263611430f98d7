"""`answerdesk`, as it is, but for an embedder without a model: `python -m tests.chaos.product serve|worker`."""

import sys

from model_runtime import embedder
from model_runtime.fakes import HashingEmbedder


def main() -> None:
    embedder.load_embedder = lambda *_: HashingEmbedder()
    from app.cli import main as answerdesk  # now: it takes `load_embedder` by its name

    sys.argv = ["answerdesk", *sys.argv[1:]]
    answerdesk()


if __name__ == "__main__":
    main()
