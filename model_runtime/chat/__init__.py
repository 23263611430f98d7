"""The client of chat models: every server that speaks the OpenAI chat protocol."""
