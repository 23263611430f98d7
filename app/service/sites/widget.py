"""What the widget's API keeps in a process: the signer of visitors' tokens, and the counts behind the rate limits.

Owns how these are made from the settings. Knows no HTTP.
"""

from datetime import timedelta
from functools import cached_property

from app.service.sites.rate_limits import OpenStreams, RateLimit
from app.service.sites.secret import installation_secret
from app.service.sites.tokens import TokenSigner
from app.service.sites.visitors import VisitorAccess
from app.settings import Settings


class Widget:
    """One a process; safe for threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings.widget
        self.streams = OpenStreams()
        self._all_settings = settings
        self._requests = RateLimit()
        self._sessions = RateLimit()
        self._messages = RateLimit()
        self._pages = RateLimit()

    @cached_property
    def signer(self) -> TokenSigner:
        """Raises `Unavailable` when there is no usable secret."""
        return TokenSigner(
            installation_secret(self._all_settings),
            timedelta(minutes=self.settings.token_minutes),
            timedelta(days=self.settings.resume_days),
        )

    def count_request(self, address: str) -> None:
        """Of an address. This and the others raise `RateLimited`."""
        self._requests.take(f"address {address}", self.settings.requests_per_minute)

    def count_request_of(self, visitor_id: str) -> None:
        """Of a visitor, from however many addresses."""
        self._requests.take(f"visitor {visitor_id}", self.settings.requests_per_minute)

    def count_session(self, address: str) -> None:
        self._sessions.take(address, self.settings.sessions_per_minute)

    def count_message(self, access: VisitorAccess, address: str) -> None:
        """Of a visitor, of all at one address, who must not use up a site's, and of a site."""
        own = access.settings
        self._messages.take(
            f"visitor {access.visitor_id}", own.per_visitor_per_minute or self.settings.messages_per_minute
        )
        self._messages.take(f"address {address}", self.settings.address_messages_per_minute)
        self._messages.take(f"site {access.site_id}", own.per_minute or self.settings.site_messages_per_minute)

    def count_page(self, access: VisitorAccess) -> None:
        """A picture of a page, which costs more to make than a message."""
        self._pages.take(access.visitor_id, self.settings.pages_per_minute)
