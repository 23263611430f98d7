"""Proves that the runtime serves what a model is: `answerdesk runtime verify`.

Owns the order of the check: small models are written, transformers says what is right, the comparison is shown to
reject wrong models, then each model is served by vLLM, compared with transformers and with itself under another number
of ranks, and its KV cache with the plan. How each of these is done is in the modules beside this one.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from model_runtime.plan.gpus import GIB
from model_runtime.plan.memory import KvType, kv_bytes_per_token
from model_runtime.plan.models import load_model
from model_runtime.server.control import interpreter_of, prepare, stop
from model_runtime.server.settings import Device, RuntimeSettings
from model_runtime.verify.choices import Architecture, Precision
from model_runtime.verify.comparison import TOLERANCES, LogProbabilities, Tolerance, compare
from model_runtime.verify.errors import AnotherVerifies, UnknownMutant
from model_runtime.verify.mutants import mutants_of
from model_runtime.verify.reference import ask_transformers, clearest, draw_probes
from model_runtime.verify.server import KV_CACHE_GIB, Ranks, served
from model_runtime.verify.small_models import make_model, write_model
from model_runtime.verify.verdict import KvCheck, ModelVerdict, Reference, RunVerdict, Verdict

_PROBES_SEED = 7

Report = Callable[[str], None]


@dataclass(frozen=True)
class CheckRequest:
    """What to check. `precision`: None takes float32 on the CPU and bfloat16 on a GPU. `mutant`: serve this wrong copy
    instead of each model that has one, to see the check fail; empty serves the models."""

    architectures: tuple[Architecture, ...] = tuple(Architecture)
    tensor_parallel_size: int = 1
    precision: Precision | None = None
    mutant: str = ""


def verify(
    request: CheckRequest,
    user: RuntimeSettings,
    folder: Path,
    environment: Mapping[str, str],
    report: Report = lambda _: None,
) -> Verdict:
    """Makes the whole check. `user`: the settings of the installation; of the runtime they describe nothing is touched.
    `folder`: for what the check needs while it runs; afterwards nothing is left in it.

    Raises `VerifyError`, or `VllmError` where a server could not be started.
    """
    architectures = _with_mutant(request)
    interpreter = interpreter_of(user)
    with _workshop(folder, user.stop_within_s) as workshop:
        models = {architecture: write_models(architecture, workshop / architecture) for architecture in architectures}
        device, runs = _runs(request, user, [folders[request.mutant] for folders in models.values()])
        precision = request.precision or (Precision.FLOAT32 if device is Device.CPU else Precision.BFLOAT16)
        report("transformers computes what is right, and what wrong models would answer")
        references = [
            make_reference(architecture, folders, interpreter, workshop, TOLERANCES[precision])
            for architecture, folders in models.items()
        ]
        verdicts = []
        for reference in references:
            model = models[reference.architecture][request.mutant]
            compared: list[RunVerdict] = []
            first: LogProbabilities | None = None
            for ranks in runs:
                report(f"vLLM serves {reference.architecture} with {ranks}")
                server_folder = workshop / f"server-{reference.architecture}-{ranks}".replace(" ", "-")
                with served(model, ranks, precision, device, user, server_folder, environment) as server:
                    answers = server.answer(reference.probes)
                    tokens, ready_after_s = server.kv_tokens, server.ready_after_s
                compared.append(
                    RunVerdict(
                        ranks=ranks,
                        with_reference=compare(answers, reference.answers, TOLERANCES[precision]),
                        with_first=compare(answers, first, TOLERANCES[precision]) if first else None,
                        kv_cache=_kv_check(model, ranks, precision, tokens),
                        ready_after_s=ready_after_s,
                    )
                )
                first = first or answers
            verdicts.append(ModelVerdict(reference, tuple(compared)))
    return Verdict(device, precision, request.mutant, tuple(verdicts))


def make_reference(
    architecture: Architecture, folders: Mapping[str, Path], interpreter: Path, workshop: Path, tolerance: Tolerance
) -> Reference:
    """What transformers says about the model in `folders[""]`, and what `compare` says about the wrong ones beside it.

    Raises `NoReference`.
    """
    candidates = draw_probes(_PROBES_SEED)
    sequences_only = replace(candidates, prompts=())
    asked = [(folder, sequences_only if name else candidates) for name, folder in folders.items()]
    computed = dict(zip(folders, ask_transformers(interpreter, asked, workshop), strict=True))
    probes, right = clearest(candidates, computed.pop(""), tolerance)
    answers = right.answers()
    scores_only = LogProbabilities(answers.scores)
    return Reference(
        architecture=architecture,
        probes=probes,
        answers=answers,
        median_margin=float(np.median(right.margins)),
        clear_share=right.clear_share,
        mutants={
            name: compare(wrong.answers_of_a_server(sequences_only), scores_only, tolerance)
            for name, wrong in computed.items()
        },
    )


def write_models(architecture: Architecture, folder: Path) -> dict[str, Path]:
    """The model of this architecture, under the name "", and every wrong copy of it, under its own."""
    model = make_model(architecture)
    folders = {name: folder / (name or "model") for name in ("", *mutants_of(architecture))}
    write_model(model, folders[""])
    for name, spoil in mutants_of(architecture).items():
        write_model(spoil(model), folders[name])
    return folders


def _with_mutant(request: CheckRequest) -> Sequence[Architecture]:
    if not request.mutant:
        return request.architectures
    found = [architecture for architecture in request.architectures if request.mutant in mutants_of(architecture)]
    if not found:
        known = sorted({name for architecture in request.architectures for name in mutants_of(architecture)})
        raise UnknownMutant(
            f"there is no mutant {request.mutant!r} of {', '.join(request.architectures)}: {', '.join(known)}"
        )
    return found


def _runs(request: CheckRequest, user: RuntimeSettings, models: Sequence[Path]) -> tuple[Device, list[Ranks]]:
    """The device, and the servers of each model. Raises what `prepare` raises, before anything slow is done."""
    wanted = RuntimeSettings(environment=user.environment, device=user.device)
    for model in models:
        changes = {"model": str(model), "tensor_parallel_size": request.tensor_parallel_size}
        machine, _ = prepare(wanted.model_copy(update=changes))
    runs = [Ranks(1)]
    if request.tensor_parallel_size > 1:
        runs.append(Ranks(request.tensor_parallel_size))
        # The CPU build dies with expert parallelism, and the runtime refuses it there.
        runs += [Ranks(request.tensor_parallel_size, experts_whole=True)] if machine.device is Device.GPU else []
    return machine.device, runs


def _kv_check(model: Path, ranks: Ranks, precision: Precision, logged: int | None) -> KvCheck:
    # The planner knows no float32: it has twice the bytes of bfloat16.
    wider = 2 if precision is Precision.FLOAT32 else 1
    planned = kv_bytes_per_token(load_model(str(model)), KvType.BF16, ranks.tensor) * wider
    return KvCheck(planned, KV_CACHE_GIB * GIB, logged)


@contextmanager
def _workshop(folder: Path, stop_within_s: float) -> Iterator[Path]:
    """A new folder for one check; what an earlier one that was killed left, servers included, is cleared away first."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    workshop = folder / "work"
    try:
        with FileLock(folder / "lock", timeout=0):
            _clear(workshop, stop_within_s)
            workshop.mkdir()
            try:
                yield workshop
            finally:
                _clear(workshop, stop_within_s)
    except Timeout as error:
        raise AnotherVerifies(f"another check of this installation runs: its files are in {folder}") from error


def _clear(workshop: Path, stop_within_s: float) -> None:
    for server in workshop.glob("server-*"):
        stop(server, stop_within_s)
    if workshop.exists():
        shutil.rmtree(workshop)
