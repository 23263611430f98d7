"""One parser a format, behind `ingestion.parsers.base.Parser`."""
