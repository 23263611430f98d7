"""Signing in, and accounts, over HTTP.

Owns the routes and their shapes. What they do is `accounts` and `sessions`.
"""

from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from app.accounts import accounts, sessions
from app.accounts.identity import Identities
from app.accounts.turnstile import Turnstile
from app.bootstrap import ServicesOf
from app.client_address import counted_address
from app.scope import AccountIdentity, AdminScope, CallerScope, Role
from app.service.tables import Account

_SIGNING_IN = Turnstile()

router = APIRouter(prefix="/api", tags=["accounts"])

_Email = Annotated[str, StringConstraints(min_length=3, max_length=254, pattern=r"^[^\x00]*$")]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
_Group = Annotated[str, StringConstraints(max_length=60)]


class _Sent(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Credentials(_Sent):
    email: _Email
    password: SecretStr = Field(max_length=accounts.LONGEST_PASSWORD)


class NewAccount(_Sent):
    email: _Email
    name: _Name = Field(description="As customers see it.")
    role: Role
    password: SecretStr = Field(max_length=accounts.LONGEST_PASSWORD)
    groups: list[_Group] = Field([], max_length=50, description="An agent's skill groups; empty: all.")


class AccountChange(_Sent):
    """What is missing stays as it is. A new password, another role and disabling end all sessions."""

    name: _Name | None = None
    role: Role | None = None
    groups: list[_Group] | None = Field(None, max_length=50)
    password: SecretStr | None = Field(None, max_length=accounts.LONGEST_PASSWORD)
    disabled: bool | None = None


class IdentityShape(BaseModel):
    """Who has signed in."""

    id: str
    name: str
    email: str
    role: Role
    groups: list[str]

    @classmethod
    def of(cls, account: AccountIdentity) -> "IdentityShape":
        return cls(
            id=account.id, name=account.name, email=account.email, role=account.role, groups=list(account.groups)
        )


class AccountShape(IdentityShape):
    disabled: bool
    created_at: datetime

    @classmethod
    def of_row(cls, row: Account) -> "AccountShape":
        own = IdentityShape.of(accounts.identity_of(row)).model_dump()
        return cls(**own, disabled=row.disabled_at is not None, created_at=row.created_at)


class AccountList(BaseModel):
    accounts: list[AccountShape]


class SignInShape(BaseModel):
    token: str = Field(description="To be sent as `Authorization: Bearer TOKEN`.")
    expires_at: datetime
    account: IdentityShape


class Me(BaseModel):
    """`account` is null for the admin key, and where there are no accounts."""

    account: IdentityShape | None
    role: Role | None = Field(description="Null for who has not signed in and has to.")
    accounts_exist: bool


def identities_of(request: Request) -> Identities:
    identities: Identities = request.app.state.identities
    return identities


@router.post("/auth/sign-in")
async def post_sign_in(given: Credentials, request: Request, services: ServicesOf) -> SignInShape:
    """Begins a session. 401 for a wrong e-mail or password; 429 after too many of them, or when too many wait."""
    hours = services.settings.server.session_hours
    address = counted_address(request.scope, services.settings)
    password = given.password.get_secret_value()
    signed_in = await _SIGNING_IN.run(
        partial(sessions.sign_in, services.database, given.email, password, address, hours)
    )
    return SignInShape(
        token=signed_in.token, expires_at=signed_in.expires_at, account=IdentityShape.of(signed_in.account)
    )


@router.post("/auth/sign-out", status_code=204)
def post_sign_out(request: Request, services: ServicesOf, _: CallerScope) -> Response:
    """Ends the session of the token that is sent."""
    sessions.sign_out(services.database, request.headers.get("authorization", "").partition(" ")[2].strip())
    return Response(status_code=204)


@router.get("/auth/me")
def get_me(request: Request) -> Me:
    """Who the caller is, as far as it has said; needs no token."""
    identities = identities_of(request)
    scope = request.scope.get("state", {}).get("caller")
    return Me(
        account=IdentityShape.of(scope.account) if scope is not None and scope.account is not None else None,
        role=None if scope is None else scope.role,
        accounts_exist=identities.accounts_exist(),
    )


@router.get("/accounts")
def get_accounts(services: ServicesOf, _: AdminScope) -> AccountList:
    """Everybody who may sign in, without their passwords."""
    return AccountList(accounts=[AccountShape.of_row(row) for row in accounts.listed(services.database)])


@router.post("/accounts", status_code=201)
def post_account(new: NewAccount, services: ServicesOf, _: AdminScope) -> AccountShape:
    """Makes an account. The first one is best made on the command line: `answerdesk account create`."""
    row = accounts.create(
        services.database,
        email=new.email,
        name=new.name,
        role=new.role,
        password=new.password.get_secret_value(),
        groups=new.groups,
    )
    return AccountShape.of_row(row)


@router.patch("/accounts/{account_id}")
def patch_account(account_id: str, changed: AccountChange, services: ServicesOf, _: AdminScope) -> AccountShape:
    """Changes what is named. Another role, a new password or disabling ends what the person was signed in to."""
    row = accounts.change(
        services.database,
        account_id,
        name=changed.name,
        role=changed.role,
        groups=changed.groups,
        password=None if changed.password is None else changed.password.get_secret_value(),
        disabled=changed.disabled,
    )
    return AccountShape.of_row(row)


@router.delete("/accounts/{account_id}", status_code=204)
def delete_account(account_id: str, services: ServicesOf, _: AdminScope) -> Response:
    """What the account has written stays, under its name."""
    accounts.remove(services.database, account_id)
    return Response(status_code=204)
