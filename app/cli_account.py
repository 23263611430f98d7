"""`answerdesk account`: who may sign in. The first admin is made here.

Owns these commands. They work on the database itself, so that they help when nobody can sign in any more.
"""

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from app.cli_output import JsonOption, errors_for_people, fail, print_result
from app.roles import Role

if TYPE_CHECKING:
    from app.db import Database

account = typer.Typer(
    help="Who may sign in; with the first account the product asks everybody to.", no_args_is_help=True
)

PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input instead of asking for it.")
]


@account.command("create")
def create_account(
    email: Annotated[str, typer.Option(help="What they sign in with.")],
    name: Annotated[str, typer.Option(help="As customers see it.")],
    role: Annotated[Role, typer.Option(help="customer, agent or admin; the first one is an admin.")] = Role.ADMIN,
    group: Annotated[list[str] | None, typer.Option(help="An agent's skill group, repeatable; none: all.")] = None,
    password_stdin: PasswordStdin = False,
    as_json: JsonOption = False,
) -> None:
    """Make an account."""
    from app.accounts import accounts
    from app.accounts.api import AccountShape

    with errors_for_people():
        database = _database()
        row = accounts.create(
            database, email=email, name=name, role=role, password=_password(password_stdin), groups=group or ()
        )
        shape = AccountShape.of_row(row)
        print_result(shape.model_dump(mode="json"), as_json, f"{shape.email} may sign in, as {shape.role.value}.")


@account.command("list")
def list_accounts(as_json: JsonOption = False) -> None:
    """List the accounts."""
    from app.accounts import accounts
    from app.accounts.api import AccountShape

    with errors_for_people():
        shapes = [AccountShape.of_row(row) for row in accounts.listed(_database())]
        table = Table("E-mail", "Name", "Role", "Groups", "")
        for each in shapes:
            groups = ", ".join(each.groups) or ("all" if each.role is Role.AGENT else "")
            table.add_row(each.email, each.name, each.role.value, groups, "disabled" if each.disabled else "")
        print_result({"accounts": [each.model_dump(mode="json") for each in shapes]}, as_json, table)


@account.command("disable")
def disable_account(
    email: str, enable: Annotated[bool, typer.Option("--enable", help="Let them in again.")] = False
) -> None:
    """Keep somebody from signing in; what they have open ends at once."""
    from app.accounts import accounts

    with errors_for_people():
        database = _database()
        accounts.change(database, accounts.named(database, email).id, disabled=not enable)
        print_result({}, False, f"{email} {'may sign in again' if enable else 'can no longer sign in'}.")


@account.command("password")
def set_password(email: str, password_stdin: PasswordStdin = False) -> None:
    """Give somebody a new password; what they have open ends at once."""
    from app.accounts import accounts

    with errors_for_people():
        database = _database()
        known = accounts.named(database, email)
        accounts.change(database, known.id, password=_password(password_stdin))
        print_result({}, False, f"{email} has a new password.")


def _database() -> "Database":
    from app.bootstrap import build_services  # late, as in all commands: it takes a second
    from app.settings import Settings

    services = build_services(Settings())
    services.prepare()
    return services.database


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        fail("The password is asked for on a terminal; from a program, send it with --password-stdin.")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
