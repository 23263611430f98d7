"""What people may do. A module of its own, so that the command line need not load the HTTP service to name it."""

from enum import StrEnum


class Role(StrEnum):
    """What a caller may do: a customer asks, an agent answers too, an admin may everything."""

    CUSTOMER = "customer"
    AGENT = "agent"
    ADMIN = "admin"
