"""Every setting, from the environment or `.env`; the only reader of the environment.

Owns names, defaults and bounds. What belongs to one knowledge base is not here but in SQL
(`app.models.KnowledgeBase.settings`). `docs/settings.md` is checked against this file by a test.
"""

from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from model_runtime.addresses import as_reached, is_loopback
from model_runtime.vllm_settings import RuntimeSettings


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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
    max_request_mb: int = Field(2048, ge=1, description="Largest upload request, in MiB.")


class UiSettings(Section):
    host: str = Field("127.0.0.1", description="Address the user interface listens on.")
    port: int = Field(8501, ge=0, le=65535, description="Port of the user interface.")
    exposed: bool = Field(
        False, description="Allows the user interface, which has no sign-in, beyond loopback: behind a proxy that has."
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
        description="The default model, or a sentence-transformers folder or model id.",
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
    window_words: int = Field(40, ge=8, le=200, description="Length of an embedded window, in words.")
    window_characters: int = Field(80, ge=16, le=400, description="Length of a Chinese window, in characters.")


class RetrievalSettings(Section):
    dense_weight: float = Field(0.65, ge=0, le=1, description="Share of the vectors in the mix; the rest is BM25.")
    answer_passages: int = Field(3, ge=1, le=20, description="Passages an answer is made from.")


class AnswererName(StrEnum):
    EXTRACTIVE = "extractive"
    GENERATIVE = "generative"


class AnswersSettings(Section):
    answerer: AnswererName = Field(
        AnswererName.EXTRACTIVE, description="extractive (verbatim sentences) or generative (a chat model)."
    )
    chat_model: str = Field("", description="Model name at the chat endpoint; needed when generative.")
    chat_provider: str = Field("openai", description="LangChain provider of the chat model.")
    chat_base_url: str = Field("", description="OpenAI-compatible address of the chat endpoint, ending in /v1.")
    chat_api_key: SecretStr = Field(SecretStr("none"), description="Key for the chat endpoint.")
    temperature: float = Field(0.3, ge=0, le=2, description="Sampling temperature of answers.")
    max_tokens: int = Field(700, ge=16, le=8192, description="Longest generated answer, in tokens.")
    timeout_s: float = Field(60.0, gt=0, description="Longest wait for the chat endpoint, in seconds.")
    stop_after_reader_left_s: float = Field(
        1.5, ge=0.1, le=60, description="An answer nobody listens to is stopped after this long, in seconds."
    )

    parallel: int = Field(32, ge=1, le=1024, description="Answers made at the same time by one process.")
    lease_s: float = Field(
        10.0, ge=0.5, le=600, description="An answer whose process is silent this long is made by another, in seconds."
    )
    max_attempts: int = Field(3, ge=1, le=20, description="Processes that may die over an answer before it fails.")

    @model_validator(mode="after")
    def _generative_needs_a_model(self) -> "AnswersSettings":
        if self.answerer is AnswererName.GENERATIVE and not self.chat_model:
            raise ValueError("answerer=generative needs ANSWERDESK_ANSWERS__CHAT_MODEL (and usually CHAT_BASE_URL)")
        return self


class WorkerSettings(Section):
    lease_s: float = Field(30.0, ge=2, le=3600, description="A job whose worker is silent this long is taken over.")
    poll_s: float = Field(0.5, ge=0.05, le=60, description="How often an idle worker looks for jobs, in seconds.")
    max_attempts: int = Field(3, ge=1, le=20, description="Attempts at a job before it fails for good.")


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
    worker: WorkerSettings = WorkerSettings()
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
                f"the user interface on {self.ui.host} would make an admin of anyone on the network, for it has no "
                "sign-in: listen on 127.0.0.1, or put a proxy that has one in front and set ANSWERDESK_UI__EXPOSED=true"
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
