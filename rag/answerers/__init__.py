"""Answerers: from hits to an answer, behind one protocol."""
