"""A knowledge base as one file, out and in. Begin with `app.bundle.export` and `app.bundle.importing`.

export ──> format <── importing ──> staging        records: what each line of the file may hold; api: the routes
"""
