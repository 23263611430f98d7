"""Errors of ingestion: permanent ones fail the document with a message, transient ones are tried again.

IngestionError
├── PermanentError           the same file will fail again; the message says what to do
│   ├── EmptyFile
│   ├── BrokenFile
│   ├── EncryptedFile
│   ├── WrongType            not what its extension says
│   ├── UnsupportedType
│   ├── NoText               no text layer, nothing readable
│   ├── TooLarge             beyond a limit in settings
│   ├── BadRecord            a JSONL line that is not a record
│   └── ParserFailed         the parser died of it, took too long or too much memory
└── TransientError           disk full, file vanished while reading: worth another attempt
"""


class IngestionError(Exception):
    """Base of the package's errors. `code` is stable; the message is for people and says what to do."""

    code = "ingestion_error"


class PermanentError(IngestionError):
    code = "permanent"


class EmptyFile(PermanentError):
    code = "empty_file"


class BrokenFile(PermanentError):
    code = "broken_file"


class EncryptedFile(PermanentError):
    code = "encrypted_file"


class WrongType(PermanentError):
    code = "wrong_type"


class UnsupportedType(PermanentError):
    code = "unsupported_type"


class NoText(PermanentError):
    code = "no_text"


class TooLarge(PermanentError):
    code = "too_large"


class BadRecord(PermanentError):
    code = "bad_record"


class ParserFailed(PermanentError):
    code = "parser_failed"


class TransientError(IngestionError):
    code = "transient"


class Cancelled(IngestionError):
    code = "cancelled"
