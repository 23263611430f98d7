"""The model server inside the container image of vLLM: `python3 -m model_runtime.server.container`.

Owns that the settings `ANSWERDESK_RUNTIME__...` of the container's environment become the very command that
`answerdesk runtime start` would run; then vLLM takes this process's place. Restarts are the container engine's. Only
`model_runtime` is mounted there, so nothing of `app` is imported, and of libraries only what vLLM itself brings.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from model_runtime.environment import OUR_PREFIX, without_ours
from model_runtime.server.control import checked_command, visible_gpus
from model_runtime.server.errors import Refused
from model_runtime.server.machine import Machine
from model_runtime.server.settings import Device, RuntimeSettings
from model_runtime.setting_errors import reasons


class _Section(BaseSettings):
    """The section `runtime` alone, read as `app.settings` reads it."""

    model_config = SettingsConfigDict(
        env_prefix=OUR_PREFIX, env_nested_delimiter="__", env_ignore_empty=True, frozen=True
    )

    runtime: RuntimeSettings = RuntimeSettings()


def main() -> NoReturn:
    """Never returns: vLLM runs in our place, or a sentence says why not and the status is 1."""
    try:
        settings = _Section().runtime
        command = checked_command(settings, Machine(Device.GPU, gpus=visible_gpus(os.environ)))
    except (ValidationError, SettingsError, Refused) as error:
        # Pydantic would print the values beside its reasons, keys among them.
        said = reasons(error) if isinstance(error, ValidationError) else str(error)
        sys.exit(f"vLLM was not started: {said}")
    for note in command.notes:
        sys.stderr.write(f"{note}\n")
    environment = {**without_ours(os.environ), **command.environment}
    os.execve(sys.executable, [sys.executable, *command.arguments], environment)


if __name__ == "__main__":
    main()
