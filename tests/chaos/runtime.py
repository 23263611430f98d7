"""A chat model in a process of its own: `python -m tests.chaos.runtime PORT`. It repeats which ticket it is about.

So whoever reads an answer sees whose question it was made for. It writes slowly enough to be killed in the middle.
"""

import re
import sys
import threading
from collections.abc import Mapping
from typing import Any

from tests.fakes.openai_server import OpenAIServer, Reply

_ASKED = re.compile(r"<question>.*?(ticket [a-z]+).*?</question>", re.DOTALL)
_SENTENCE = "hold the button for five seconds, then wait until the light is green. [1]"


class Repeating(OpenAIServer):
    """Its reply is made from the request."""

    def reply_to(self, body: Mapping[str, Any]) -> Reply:
        asked = _ASKED.search(str(body["messages"][-1]["content"]))
        words = f"For {asked[1] if asked else 'nobody'}: {_SENTENCE}".split(" ")
        return Reply([f"{word} " for word in words], pause=0.04)


def main() -> None:
    with Repeating(port=int(sys.argv[1])):
        threading.Event().wait()


if __name__ == "__main__":
    main()
