"""The measurement of what a model server, and Answerdesk in front of it, carries at once."""
