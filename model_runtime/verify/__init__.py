"""The check that a split model server computes what the model says: against a reference, and against mutants of it."""
