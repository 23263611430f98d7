"""`answerdesk sync`: a knowledge base follows a folder, a JSONL file or web pages. Begin with `app.sync.sync`.

sources ──> sync ──> memory        fetch, addresses: how web pages are had without letting anybody use us
"""
