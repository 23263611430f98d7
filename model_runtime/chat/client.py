"""A chat model behind any OpenAI-compatible address, as a LangChain chat model: vLLM, DeepSeek's API, others.

Owns the translation between LangChain's messages and chunks and OpenAI's request. How requests are sent, watched and
broken off is in `transport`. Knows nothing of questions and passages.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage, convert_to_openai_messages
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field, PrivateAttr, SecretStr, field_validator

from model_runtime.chat.events import Delta, Usage
from model_runtime.chat.transport import ChatTransport, Patience

OPENAI_URL = "https://api.openai.com/v1"
"""Where requests go when no address is given."""

_SAMPLING = (
    *("temperature", "max_tokens", "top_p", "seed", "presence_penalty", "frequency_penalty"),
    "repetition_penalty",  # vLLM's, which other servers may refuse
)


class ChatClient(BaseChatModel):
    """Streams from `{base_url}/chat/completions`.

    While the model is silent, `stream` yields an empty chunk every `beat_s` seconds, so that whoever reads can leave;
    closing the stream closes the connection at once, and the server aborts the request. The last chunk bears the
    server's token counts. Sampling that is None is not sent, so that the server's own default holds; every call may
    override it by keyword. Raises the errors of `errors`.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    model: str = Field(min_length=1)
    base_url: str
    api_key: SecretStr = SecretStr("none")
    temperature: float | None = None
    max_tokens: int | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    stop: list[str] | None = None
    connect_timeout_s: float = Field(5.0, gt=0)
    first_token_timeout_s: float = Field(
        60.0, gt=0, description="From the request to the first token, retries included."
    )
    between_tokens_timeout_s: float = Field(15.0, gt=0)
    timeout: float = Field(120.0, gt=0, description="From the request to the last token.")
    max_retries: int = Field(2, ge=0, description="Requests sent again while nothing of the answer has come.")
    first_retry_s: float = Field(0.25, ge=0, description="Wait before the first retry; it doubles, less up to a half.")
    longest_retry_wait_s: float = Field(
        5.0, ge=0, description="A server that asks for a longer wait is called busy at once."
    )
    beat_s: float = Field(0.2, gt=0)

    _transport: ChatTransport = PrivateAttr()

    @field_validator("base_url")
    @classmethod
    def _is_web_address(cls, address: str) -> str:
        if not address.startswith(("http://", "https://")):
            raise ValueError("the address of a chat endpoint begins with http:// or https:// and ends with /v1")
        return address

    @field_validator("api_key")
    @classmethod
    def _fits_a_header(cls, key: SecretStr) -> SecretStr:
        value = key.get_secret_value()
        if not value.isascii() or not value.isprintable() or value != value.strip():
            # Told here, for the HTTP library's own message would quote the key.
            raise ValueError("the key has characters that a header cannot carry: look for spaces and line ends")
        return key

    def model_post_init(self, context: Any, /) -> None:
        patience = Patience(
            connect_s=self.connect_timeout_s,
            first_token_s=self.first_token_timeout_s,
            between_tokens_s=self.between_tokens_timeout_s,
            total_s=self.timeout,
            retries=self.max_retries,
            first_retry_s=self.first_retry_s,
            longest_retry_wait_s=self.longest_retry_wait_s,
        )
        self._transport = ChatTransport(self.base_url, self.api_key.get_secret_value(), patience)

    def close(self) -> None:
        """Closes the connections that are kept for further answers; the client stays usable."""
        self._transport.close()

    @property
    def _llm_type(self) -> str:
        return "openai-compatible"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {"model": self.model, "base_url": self.base_url, **self._sampling()}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **more: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **more))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **more: Any,
    ) -> Iterator[ChatGenerationChunk]:
        body = self._body(messages, stop, more)
        deltas = self._transport.stream(body, self.beat_s)
        finish_reason: str | None = None
        usage: Usage | None = None
        try:
            for delta in deltas:
                chunk = _chunk(delta)
                if delta is not None:
                    finish_reason = delta.finish_reason or finish_reason
                    usage = delta.usage or usage
                    if run_manager and delta.text:
                        run_manager.on_llm_new_token(delta.text, chunk=chunk)
                yield chunk
        finally:
            deltas.close()
        yield _last_chunk(finish_reason, usage, body["model"])

    def _body(self, messages: list[BaseMessage], stop: list[str] | None, more: Mapping[str, Any]) -> dict[str, Any]:
        """The request. Raises `ValueError` for a keyword that it has no place for."""
        known = {name: value for name, value in more.items() if name in (*_SAMPLING, "model")}
        if unknown := sorted(more.keys() - known.keys()):
            raise ValueError(f"The chat client does not know {', '.join(unknown)}.")
        wanted = {**self._sampling(), **{name: value for name, value in known.items() if value is not None}}
        if stops := self.stop if stop is None else stop:
            wanted["stop"] = stops
        return {
            "model": self.model,
            "messages": convert_to_openai_messages(messages),
            "stream": True,
            "stream_options": {"include_usage": True},
            **wanted,
        }

    def _sampling(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in _SAMPLING if name in type(self).model_fields}
        return {name: value for name, value in own.items() if value is not None}


def _chunk(delta: Delta | None) -> ChatGenerationChunk:
    """What a delta shows; thoughts are kept apart from the text. None is a beat."""
    if delta is None:
        return ChatGenerationChunk(message=AIMessageChunk(content=""))
    thoughts = {"reasoning_content": delta.thoughts} if delta.thoughts else {}
    return ChatGenerationChunk(message=AIMessageChunk(content=delta.text, additional_kwargs=thoughts))


def _last_chunk(finish_reason: str | None, usage: Usage | None, model: str) -> ChatGenerationChunk:
    counted = None
    if usage is not None:
        counted = UsageMetadata(
            input_tokens=usage.prompt,
            output_tokens=usage.completion,
            total_tokens=usage.prompt + usage.completion,
        )
        if usage.cached is not None:
            counted["input_token_details"] = InputTokenDetails(cache_read=usage.cached)
    metadata = {"finish_reason": finish_reason, "model_name": model}
    message = AIMessageChunk(content="", usage_metadata=counted, response_metadata=metadata, chunk_position="last")
    return ChatGenerationChunk(message=message)
