"""People who sign in: their accounts, their sessions, and who a request is from."""
