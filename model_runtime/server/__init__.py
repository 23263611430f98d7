"""The model server of our own, vLLM in an environment of its own: how it is started, watched and stopped."""
