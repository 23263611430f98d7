"""The command `answerdesk runtime verify`. Owns arguments and printing; the check is `model_runtime.verify.check`."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from app.cli_output import JsonOption, errors_for_people, fail, messages
from app.settings import Settings
from model_runtime.plan.errors import PlanError
from model_runtime.verify.choices import Architecture, Precision
from model_runtime.verify.errors import VerifyError


def verify(
    tensor_parallel_size: Annotated[
        int, typer.Option(min=1, max=64, help="Serve each model with this many ranks too.")
    ] = 1,
    architecture: Annotated[
        list[Architecture] | None, typer.Option(help="Which, may be given more than once; left out: all.")
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="What vLLM computes in; left out: float32 on the CPU, bfloat16 on a GPU.")
    ] = None,
    mutant: Annotated[
        str, typer.Option(help="Serve this wrong copy of the models, such as score-bias-zeroed, to see the check fail.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Compare what vLLM serves with transformers, on small models; exits with 1 when they differ."""
    from model_runtime.verify.check import CheckRequest
    from model_runtime.verify.check import verify as check
    from model_runtime.verify.report import as_json as verdict_as_json
    from model_runtime.verify.report import as_text

    with errors_for_people(VerifyError, PlanError):
        settings = Settings()
        request = CheckRequest(
            architectures=tuple(dict.fromkeys(architecture or Architecture)),
            tensor_parallel_size=tensor_parallel_size,
            precision=precision,
            mutant=mutant,
        )
        try:
            with _ended_like_by_ctrl_c(), messages.status("Writing small models") as status:
                verdict = check(request, settings.runtime, settings.home_folder / "verify", os.environ, status.update)
        except KeyboardInterrupt:
            fail("interrupted; what was started is stopped, and the models are removed")
    sys.stdout.write(json.dumps(verdict_as_json(verdict), indent=2) + "\n" if as_json else as_text(verdict))
    if not verdict.agrees:
        raise typer.Exit(1)


@contextmanager
def _ended_like_by_ctrl_c() -> Iterator[None]:
    """SIGTERM and a closed terminal clean up, too: the servers live in sessions of their own."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
