"""`python -m migrations "what it does"`: writes the next step, from what `app.models` has more than the last one."""

import sys
import tempfile

from alembic import command

from app.db import Database
from migrations import configuration, head, upgrade


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        address = f"sqlite:///{folder}/up-to-date.db"
        upgrade(address)
        database = Database(address)
        with database.write() as session:
            number = f"{int(head() or 0) + 1:04d}"
            command.revision(configuration(session.connection()), sys.argv[1], autogenerate=True, rev_id=number)
        database.dispose()


if __name__ == "__main__":
    main()
