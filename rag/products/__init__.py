"""What product a question is about. Begin with `rag.products.search`.

search ──> scope ──> names        questions: how the customer is asked which one
"""
