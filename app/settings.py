"""Every setting, from the environment or `.env`; the only reader of the environment.

Owns names, defaults and bounds. What belongs to one knowledge base is not here but in SQL
(`app.models.KnowledgeBase.settings`). `docs/settings.md` is checked against this file by a test.
"""

import os
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from model_runtime.addresses import as_reached, is_loopback
from model_runtime.server.settings import RuntimeSettings


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ServerSettings(Section):
    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: int = Field(8080, ge=0, le=65535, description="Port of the API.")
    admin_key: SecretStr | None = Field(
        None, description="Key that every API request must bear. Needed to listen beyond loopback."
    )
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Host names, besides loopback, under which the API may be addressed."
    )
    allowed_origins: tuple[str, ...] = Field(
        (), description="Web origins, besides its own, whose pages may call the API."
    )
    run_key: SecretStr | None = Field(
        None,
        min_length=32,
        description="Key of `answerdesk run` for its own requests, made at each start; needs not be set.",
    )
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^\s/?#@]+)?$",
        description="Where browsers reach the API, like https://help.example.com; empty: at its own address. Who comes "
        "that way has to sign in, or bear the admin key.",
    )
    session_hours: float = Field(
        12.0, gt=0, le=720, description="How long a sign-in holds after its last use, in hours."
    )
    trusted_proxies: tuple[str, ...] = Field(
        (), description="Addresses or networks of proxies whose X-Forwarded-For is believed."
    )
    max_request_mb: int = Field(2048, ge=1, description="Largest upload request, in MiB.")
    processes: int = Field(
        1, ge=1, le=64, description="API processes on the port; each holds the embedder (about 700 MB) and own limits."
    )
    token_secret: SecretStr | None = Field(
        None,
        min_length=32,
        description="Signs the widget's tokens; the same on all machines. Empty: a file made in ANSWERDESK_HOME.",
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, named: tuple[str, ...]) -> tuple[str, ...]:
        for name in named:
            try:
                ip_network(name)
            except ValueError as error:
                raise ValueError(f"{name!r} is neither an address nor a network like 10.0.0.0/8") from error
        return named


class UiSettings(Section):
    host: str = Field("127.0.0.1", description="Address the user interface listens on.")
    port: int = Field(8501, ge=0, le=65535, description="Port of the user interface.")
    shop_port: int = Field(8090, ge=0, le=65535, description="Port of the demonstration shop, on this machine only.")
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^\s/?#@]+)?$",
        description="Where browsers reach the user interface, whose inbox calls the API; empty: at its own address.",
    )
    exposed: bool = Field(
        False,
        description="Allows the user interface beyond loopback: with accounts, or behind a proxy that has a sign-in.",
    )


class DatabaseSettings(Section):
    url: SecretStr | None = Field(
        None,
        description="SQLAlchemy address; empty means SQLite in ANSWERDESK_HOME. PostgreSQL: postgresql+psycopg://…",
    )
    busy_timeout_s: float = Field(30.0, gt=0, description="How long SQLite waits for another writer, in seconds.")


class Backend(StrEnum):
    OPENVINO = "openvino"
    TORCH = "torch"


class EmbedderSettings(Section):
    model: str = Field(
        "multilingual-e5-small",
        description="The default model, or a sentence-transformers folder or model id; of new knowledge bases.",
    )
    backend: Backend = Field(Backend.OPENVINO, description="openvino (CPU, BERT models) or torch (any model, GPU).")
    threads: int = Field(0, ge=0, le=256, description="Threads for embedding; 0 means one a core.")

    @property
    def uses_default_model(self) -> bool:
        return self.model in ("", "multilingual-e5-small")


class IngestionSettings(Section):
    max_file_mb: int = Field(500, ge=1, description="Largest file, in MiB.")
    max_pages: int = Field(50_000, ge=1, description="Most pages a document may have.")
    batch_windows: int = Field(512, ge=1, le=65536, description="Windows embedded between two progress reports.")
    window_words: int = Field(
        40, ge=8, le=200, description="Length of an embedded window in words, of new knowledge bases."
    )
    window_characters: int = Field(
        80, ge=16, le=400, description="Length of a Chinese window in characters, of new knowledge bases."
    )
    parser_memory_mb: int = Field(
        2048,
        ge=256,
        le=1_048_576,
        description="Memory that reading one file may take, in MiB; more fails the page. Text recognition needs 1900.",
    )
    page_timeout_s: float = Field(
        60.0, ge=1, le=3600, description="Longest time for one page, or a file without pages; then it is passed over."
    )
    parser_timeout_s: float = Field(
        14_400.0,
        ge=1,
        le=604_800,
        description="Longest time for reading one file, and 4 more for each page read. Embedding is not counted.",
    )


class RetrievalSettings(Section):
    dense_weight: float | None = Field(
        None,
        ge=0,
        le=1,
        description="A plain mix instead of learned weights: the share of the vectors, the rest is BM25. "
        "Empty: learned weights.",
    )
    answer_passages: int = Field(3, ge=1, le=20, description="Passages an answer is made from.")
    reranker: str = Field(
        "",
        description="A cross-encoder that looks at the first passages again: a folder, or a hub id already downloaded. "
        "Empty is off; slow without a GPU; needs `make torch`.",
    )
    dictionary: bool = Field(
        True,
        description="Words of a question that no passage has are also searched for in Chinese, or in English, as a "
        "dictionary translates them.",
    )
    reranked_passages: int = Field(20, ge=2, le=100, description="Passages that the reranker looks at.")


class AnswererName(StrEnum):
    EXTRACTIVE = "extractive"
    GENERATIVE = "generative"


class WhenUnavailable(StrEnum):
    ERROR = "error"
    EXTRACTIVE = "extractive"


class WhenNotFound(StrEnum):
    FLAG = "flag"
    DROP = "drop"


class AnswersSettings(Section):
    answerer: AnswererName = Field(
        AnswererName.EXTRACTIVE, description="extractive (verbatim sentences) or generative (a chat model)."
    )
    chat_model: str = Field("", description="Model name at the chat endpoint; needed when generative.")
    chat_provider: str = Field(
        "openai",
        description="openai (any OpenAI-compatible endpoint), or a provider of LangChain's init_chat_model.",
    )
    chat_base_url: str = Field("", description="OpenAI-compatible address of the chat endpoint, ending in /v1.")
    chat_api_key: SecretStr = Field(SecretStr("none"), description="Key for the chat endpoint.")
    rewrite_follow_ups: bool = Field(
        False,
        description="The chat model writes questions that lean on earlier turns anew before they are searched for; "
        "only in generative knowledge bases, and used only when it adds no words of its own.",
    )
    summarise_history: bool = Field(
        True,
        description="The chat model sums up the turns of a long conversation that no longer fit; false: they just go.",
    )
    chat_reads_images: bool = Field(
        False, description="Whether the chat model looks at pictures (is multimodal); then those in questions go to it."
    )
    temperature: float = Field(0.3, ge=0, le=2, description="Sampling temperature of answers.")
    max_tokens: int = Field(700, ge=16, le=8192, description="Longest generated answer, in tokens.")
    frequency_penalty: float | None = Field(
        None, ge=-2, le=2, description="OpenAI's penalty for repeated tokens; sent only if set."
    )
    repetition_penalty: float | None = Field(
        None, gt=0, le=2, description="vLLM's penalty for repeated tokens, above 1; sent only if set."
    )
    connect_timeout_s: float = Field(
        5.0, gt=0, le=600, description="Longest wait for a connection to the chat endpoint, in seconds."
    )
    first_token_timeout_s: float = Field(
        60.0,
        gt=0,
        le=3600,
        description="Longest wait for a generated answer's first token, retries included, in seconds.",
    )
    between_tokens_timeout_s: float = Field(
        15.0, gt=0, le=3600, description="Longest silence within a generated answer, in seconds."
    )
    timeout_s: float = Field(120.0, gt=0, le=3600, description="Longest time for a generated answer, in seconds.")
    retries: int = Field(
        2, ge=0, le=10, description="Requests sent to the chat endpoint again while nothing of the answer has come."
    )
    stop_after_reader_left_s: float = Field(
        1.5, ge=0.1, le=60, description="An answer nobody listens to is stopped after this long, in seconds."
    )

    parallel: int = Field(
        32, ge=1, le=1024, description="Answers without a chat model made at the same time by one process."
    )
    max_running: int = Field(
        16, ge=1, le=1024, description="Questions that one process has at the chat model at the same time."
    )
    max_waiting: int = Field(
        32, ge=0, le=10_000, description="Questions of one process that may wait for the chat model; more get a 429."
    )
    when_unavailable: WhenUnavailable = Field(
        WhenUnavailable.ERROR,
        description="What a question gets when the chat model is busy or down: error, or extractive (a marked quote).",
    )
    when_not_found: WhenNotFound = Field(
        WhenNotFound.FLAG,
        description="A generated sentence that says what its cited pages do not: flag (noted behind it), or drop.",
    )
    injection_guard: bool = Field(
        True,
        description="Questions that try to steer the assistant are kept from the chat model and looked up in the "
        "manuals. Told by wording and vector; with another embedder than the default by wording alone.",
    )
    try_again_after_s: float = Field(
        3.0, gt=0, le=300, description="How long a chat model that could not be reached is left alone, in seconds."
    )
    lease_s: float = Field(
        10.0, ge=0.5, le=600, description="An answer whose process is silent this long is made by another, in seconds."
    )
    max_attempts: int = Field(3, ge=1, le=20, description="Processes that may die over an answer before it fails.")

    @model_validator(mode="after")
    def _generative_needs_a_model(self) -> "AnswersSettings":
        if self.answerer is AnswererName.GENERATIVE and not self.chat_model:
            raise ValueError("answerer=generative needs ANSWERDESK_ANSWERS__CHAT_MODEL (and usually CHAT_BASE_URL)")
        return self


class CachesSettings(Section):
    answers_mb: int = Field(64, ge=0, le=65_536, description="Memory of one process for answers, in MiB; 0 is off.")
    question_vectors_mb: int = Field(
        16, ge=0, le=65_536, description="Memory of one process for vectors of questions, in MiB; 0 is off."
    )


class WorkerSettings(Section):
    lease_s: float = Field(30.0, ge=2, le=3600, description="A job whose worker is silent this long is taken over.")
    poll_s: float = Field(0.5, ge=0.05, le=60, description="How often an idle worker looks for jobs, in seconds.")
    max_attempts: int = Field(3, ge=1, le=20, description="Attempts at a job before it fails for good.")
    check_indexes_s: float = Field(
        3600.0, ge=60, le=604_800, description="How often an idle worker checks an index that has changed, in seconds."
    )


class FetchSettings(Section):
    """How `answerdesk sync` fetches web pages."""

    allow_private: bool = Field(
        False, description="Allows pages of the intranet: private and loopback addresses. Never link-local ones."
    )
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = Field(
        (80, 443), description="Ports that pages may be fetched from, as JSON."
    )
    max_mb: int = Field(50, ge=1, le=10_000, description="Largest page or file, unpacked, in MiB.")
    idle_s: float = Field(15.0, ge=0.1, le=600, description="Longest silence of a server, in seconds.")
    timeout_s: float = Field(120.0, ge=0.1, le=3600, description="Longest time for one page, redirects included.")
    parallel: int = Field(4, ge=1, le=64, description="Pages fetched at the same time.")
    user_agent: str = Field(
        "Answerdesk", min_length=1, max_length=200, pattern=r"^[ -~]+$", description="What servers are told we are."
    )


class WidgetSettings(Section):
    """What visitors of the widget may do. Rates are counted in each process by itself, a minute's worth at once."""

    token_minutes: int = Field(15, ge=1, le=120, description="How long a visitor's token holds, in minutes.")
    resume_days: int = Field(30, ge=1, le=365, description="How long a visitor can come back to a conversation.")
    sessions_per_minute: int = Field(
        60, ge=1, le=100_000, description="Sessions that one address may begin or resume in a minute."
    )
    requests_per_minute: int = Field(
        600, ge=10, le=1_000_000, description="Requests of the widget from one address in a minute."
    )
    messages_per_minute: int = Field(
        20, ge=1, le=10_000, description="Messages of one visitor in a minute, where its site says nothing else."
    )
    address_messages_per_minute: int = Field(
        240, ge=1, le=1_000_000, description="Messages of all visitors at one address in a minute."
    )
    site_messages_per_minute: int = Field(
        1200, ge=1, le=1_000_000, description="Messages of all visitors of a site in a minute, likewise."
    )
    pages_per_minute: int = Field(60, ge=1, le=10_000, description="Pages that one visitor may open in a minute.")
    streams_per_visitor: int = Field(4, ge=1, le=100, description="Event streams that one visitor may have open.")
    streams_per_address: int = Field(200, ge=1, le=100_000, description="Event streams open to one address.")


class ServiceSection(Section):
    """Customer service: where what an admin writes for it lies. What a knowledge base chooses is in its settings."""

    flows_folder: Path | None = Field(None, description="Folder of the flows' YAML files; empty: flows in the home.")
    decisions_folder: Path | None = Field(
        None, description="Folder of the decision tables' JSON files; empty: decisions in the home."
    )
    flow_api_urls: dict[str, Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+[^\s?#]*$")]] = Field(
        {}, description="Addresses of APIs, by name, that go before those in flow files, as JSON."
    )


LogLevel = Literal["debug", "info", "warning", "error"]


class Settings(BaseSettings):
    """All settings. `ANSWERDESK_<SECTION>__<NAME>` in the environment or `.env`."""

    model_config = SettingsConfigDict(
        env_prefix="ANSWERDESK_",
        env_nested_delimiter="__",
        env_file=".env",
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,  # a key may be among it
    )

    home: Path = Field(
        Path("~/.local/share/answerdesk"),
        description="All that an installation keeps: database, files, indexes.",
    )
    cache: Path = Field(Path("~/.cache/answerdesk"), description="Exported models; may be shared and deleted.")
    log_level: LogLevel = Field("info", description="debug, info, warning or error.")
    server: ServerSettings = ServerSettings()
    ui: UiSettings = UiSettings()
    database: DatabaseSettings = DatabaseSettings()
    embedder: EmbedderSettings = EmbedderSettings()
    ingestion: IngestionSettings = IngestionSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    answers: AnswersSettings = AnswersSettings()
    caches: CachesSettings = CachesSettings()
    worker: WorkerSettings = WorkerSettings()
    fetch: FetchSettings = FetchSettings()
    service: ServiceSection = ServiceSection()
    widget: WidgetSettings = WidgetSettings()
    runtime: RuntimeSettings = RuntimeSettings()

    @model_validator(mode="after")
    def _no_open_door(self) -> "Settings":
        if not is_loopback(self.server.host) and self.server.admin_key is None:
            raise ValueError(
                f"listening on {self.server.host} would let anyone on the network in: "
                "set ANSWERDESK_SERVER__ADMIN_KEY, or listen on 127.0.0.1"
            )
        if not is_loopback(self.ui.host) and not self.ui.exposed:
            raise ValueError(
                f"the user interface on {self.ui.host} makes an admin of anyone on the network as long as there are no "
                "accounts: listen on 127.0.0.1, or make an admin first (answerdesk account create) or put a proxy with "
                "a sign-in in front, and set ANSWERDESK_UI__EXPOSED=true"
            )
        if self.server.admin_key is not None and len(self.server.admin_key.get_secret_value()) < 16:
            raise ValueError("ANSWERDESK_SERVER__ADMIN_KEY must have at least 16 characters")
        return self

    @property
    def home_folder(self) -> Path:
        return self.home.expanduser().resolve()

    @property
    def cache_folder(self) -> Path:
        return self.cache.expanduser().resolve()

    @property
    def files_folder(self) -> Path:
        return self.home_folder / "files"

    @property
    def index_folder(self) -> Path:
        return self.home_folder / "index"

    @property
    def flows_folder(self) -> Path:
        return (self.service.flows_folder or self.home_folder / "flows").expanduser().resolve()

    @property
    def decisions_folder(self) -> Path:
        return (self.service.decisions_folder or self.home_folder / "decisions").expanduser().resolve()

    @property
    def runtime_folder(self) -> Path:
        return self.home_folder / "runtime"

    @property
    def database_url(self) -> str:
        if self.database.url is not None:
            return self.database.url.get_secret_value()
        return f"sqlite:///{self.home_folder / 'answerdesk.db'}"

    @property
    def api_address(self) -> str:
        """Where our own programs reach the API on this machine."""
        return f"http://{as_reached(self.server.host)}:{self.server.port}"

    @property
    def ui_address(self) -> str:
        return f"http://{as_reached(self.ui.host)}:{self.ui.port}"


def secret(name: str) -> str | None:
    """`ANSWERDESK_SECRET_<name>` of the environment: what flows send to APIs. None when it is not set.

    Not among the settings, for it has any name, and is read when it is needed so that it can be changed.
    """
    return os.environ.get(f"ANSWERDESK_SECRET_{name}") or None
