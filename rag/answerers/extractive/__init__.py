"""The answerer that quotes: it chooses sentences, rows and steps of the passages found, and needs no chat model."""
