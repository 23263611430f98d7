"""The process in which files are opened: what it may spend, how it is asked, what becomes of it."""
