"""The answerer that has a chat model write, and checks what it wrote against the passages."""
