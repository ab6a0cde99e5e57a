"""The Isaac Gym engine in a process of its own: Isaac Gym ends at Python 3.8, where the trainer's libraries begin.

Started by `ProcessEngine`; everything that it imports runs on Python 3.8 with numpy, pyyaml, torch and isaacgym.
"""

from __future__ import annotations

import argparse
import socket
from typing import Callable, Dict

import numpy as np

# First of all: NVIDIA's package must be imported before torch, which the other modules import.
from sim.engines.isaacgym_modules import import_isaacgym

import_isaacgym()

import torch  # noqa: E402

from robot_configs.errors import Go1Error  # noqa: E402
from robot_configs.robot import load_robot  # noqa: E402
from sim.engines.array_messages import Message, receive, send  # noqa: E402
from sim.engines.isaacgym import IsaacGymEngine  # noqa: E402
from sim.engines.protocol import PhysicsParameters  # noqa: E402
from sim.engines.terrain_message import unpack_terrain  # noqa: E402


class Server:
    """Answers the calls of the `Engine` protocol, one at a time."""

    def __init__(self, engine: IsaacGymEngine) -> None:
        self._engine = engine
        self._calls: Dict[str, Callable[[Message], Dict[str, np.ndarray]]] = {
            "set_parameters": self._set_parameters,
            "step": self._step,
            "state": self._state,
            "reset": self._reset,
            "push": self._push,
        }

    def serve(self, connection: socket.socket) -> None:
        """Until the trainer is gone."""
        send(connection, Message("ready", {"physics_dt_s": self._engine.physics_dt_s}))
        while True:
            try:
                call = receive(connection)
            except EOFError:
                return
            try:
                answer = Message("done", {}, self._calls[call.name](call))
            except Go1Error as error:
                answer = Message("error", {"args": [error.expected, error.found, error.remedy]})
            send(connection, answer)

    def _set_parameters(self, call: Message) -> Dict[str, np.ndarray]:
        self._engine.set_parameters(PhysicsParameters(**tensors(call)))
        return {}

    def _step(self, call: Message) -> Dict[str, np.ndarray]:
        self._engine.step(tensors(call)["joint_target"], int(call.arguments["substeps"]))
        return {}

    def _state(self, call: Message) -> Dict[str, np.ndarray]:
        return {name: tensor.numpy() for name, tensor in vars(self._engine.state()).items()}

    def _reset(self, call: Message) -> Dict[str, np.ndarray]:
        self._engine.reset(**tensors(call))
        return {}

    def _push(self, call: Message) -> Dict[str, np.ndarray]:
        self._engine.push(**tensors(call))
        return {}


def tensors(message: Message) -> Dict[str, torch.Tensor]:
    """A message's arrays for the engine."""
    return {name: torch.from_numpy(array) for name, array in message.arrays.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--descriptor", type=int, required=True, help="of the socket to the trainer")
    parser.add_argument("--num-envs", type=int, required=True)
    parser.add_argument("--device", required=True)
    options = parser.parse_args()
    with socket.socket(fileno=options.descriptor) as connection:
        try:
            terrain = unpack_terrain(receive(connection))
            engine = IsaacGymEngine(load_robot(), options.num_envs, options.device, terrain=terrain)
        except Go1Error as error:
            send(connection, Message("error", {"args": [error.expected, error.found, error.remedy]}))
            return
        Server(engine).serve(connection)


if __name__ == "__main__":
    main()
