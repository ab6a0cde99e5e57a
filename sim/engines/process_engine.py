"""An engine that runs in another Python: the trainer's side of `isaacgym_process`."""

from __future__ import annotations

import os
import socket
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Optional

import torch

from robot_configs.errors import Go1Error
from sim.engines.array_messages import Message, receive, send
from sim.engines.protocol import EngineState, PhysicsParameters
from sim.engines.terrain_message import pack_terrain
from sim.terrain.height_field import HeightField

ROOT = Path(__file__).resolve().parents[2]


class EngineProcessError(Go1Error):
    """The engine's process reported an error, or is gone."""


class ProcessEngine:
    """`Engine` by messages. The process ends when this object, or the trainer, does."""

    def __init__(self, python: str, num_envs: int, device: str, terrain: Optional[HeightField] = None) -> None:
        self._connection, theirs = socket.socketpair()
        command = [python, "-m", "sim.engines.isaacgym_process", "--descriptor", str(theirs.fileno())]
        command += ["--num-envs", str(num_envs), "--device", device]
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        with theirs:
            try:
                self._process = subprocess.Popen(
                    command, pass_fds=[theirs.fileno()], env={**os.environ, "PYTHONPATH": path}
                )
            except OSError as error:
                raise EngineProcessError(
                    "a Python with Isaac Gym", f"{python}: {error.strerror}", "Name it."
                ) from error
        self._send(pack_terrain(terrain))
        self.num_envs = num_envs
        self.physics_dt_s = float(self._receive().arguments["physics_dt_s"])

    def set_parameters(self, parameters: PhysicsParameters) -> None:
        tensors = {field.name: getattr(parameters, field.name) for field in fields(parameters)}
        self._call("set_parameters", tensors)

    def step(self, joint_target: torch.Tensor, substeps: int) -> None:
        if substeps:
            self._call("step", {"joint_target": joint_target}, substeps=substeps)

    def state(self) -> EngineState:
        answer = self._call("state", {})
        return EngineState(**{name: torch.from_numpy(array) for name, array in answer.arrays.items()})

    def reset(
        self, rows: torch.Tensor, position: torch.Tensor, orientation: torch.Tensor, joints: torch.Tensor
    ) -> None:
        self._call("reset", {"rows": rows, "position": position, "orientation": orientation, "joints": joints})

    def push(self, velocity_change: torch.Tensor) -> None:
        self._call("push", {"velocity_change": velocity_change})

    def close(self) -> None:
        """End the process and wait for it."""
        self._connection.close()
        self._process.wait()

    def _call(self, name: str, tensors: dict[str, torch.Tensor], **arguments: int) -> Message:
        arrays = {key: tensor.detach().numpy() for key, tensor in tensors.items()}
        self._send(Message(name, arguments, arrays))
        return self._receive()

    def _send(self, message: Message) -> None:
        try:
            send(self._connection, message)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self._gone() from error

    def _receive(self) -> Message:
        try:
            answer = receive(self._connection)
        except (EOFError, ConnectionResetError) as error:
            raise self._gone() from error
        if answer.name == "error":
            raise EngineProcessError(*answer.arguments["args"])
        return answer

    def _gone(self) -> EngineProcessError:
        status = self._process.wait()
        return EngineProcessError(
            "the engine's process to answer", f"its exit status {status}", "Read its messages above."
        )
