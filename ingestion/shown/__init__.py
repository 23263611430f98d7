"""Pages as people are shown them: drawn, with the cited words marked."""
