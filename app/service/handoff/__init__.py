"""People: hand-offs, the inbox, who is there, and what becomes of what agents answered."""
