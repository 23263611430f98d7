"""LangChain's own standard tests of chat models, those that ask for nothing but text, against the scripted server."""

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from model_runtime.chat.client import ChatClient
from tests.fakes.openai_server import OpenAIServer, Reply

USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 0}}


class TestParameters(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatClient

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "tiny", "base_url": "http://127.0.0.1:9/v1"}

    @property
    def has_tool_calling(self) -> bool:
        return False

    @pytest.mark.xfail(reason="there is no streaming parameter: every request is streamed", strict=True)
    def test_init_streaming(self) -> None:
        super().test_init_streaming()


@pytest.mark.asyncio  # half of the suite is
class TestAnswers(ChatModelIntegrationTests):
    server: OpenAIServer

    @pytest.fixture(autouse=True)
    def _scripted(self) -> Iterator[None]:
        with OpenAIServer(Reply(["Switch it off, ", "let it cool, ", "rinse."], usage=USAGE, pause=0.05)) as server:
            type(self).server = server
            yield

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatClient

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "tiny", "base_url": self.server.base_url, "beat_s": 0.02}

    @property
    def has_tool_calling(self) -> bool:
        return False

    @property
    def has_structured_output(self) -> bool:
        return False

    @property
    def supported_usage_metadata_details(self) -> Any:
        return {"invoke": [], "stream": ["cache_read_input"]}

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> Any:
        whole = None
        for chunk in ChatClient(**self.chat_model_params).stream("Hello"):
            whole = chunk if whole is None else whole + chunk
        return whole
