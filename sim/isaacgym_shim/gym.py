"""`Gym`: the calls of gymapi, by topic; what is not among them raises, naming the call."""

from __future__ import annotations

from typing import NoReturn

from sim.isaacgym_shim.actor_calls import ActorCalls
from sim.isaacgym_shim.asset_calls import AssetCalls
from sim.isaacgym_shim.errors import UnsupportedCallError, unsupported
from sim.isaacgym_shim.parameters import CameraProperties
from sim.isaacgym_shim.scene_calls import SceneCalls
from sim.isaacgym_shim.simulation import Sim
from sim.isaacgym_shim.tensor_calls import TensorCalls


class Gym(SceneCalls, AssetCalls, ActorCalls, TensorCalls):
    """What `acquire_gym` returns."""

    def create_viewer(self, sim: Sim, properties: CameraProperties) -> NoReturn:
        raise UnsupportedCallError("create_viewer", "There is no window: run with --headless.")

    def __getattr__(self, name: str) -> NoReturn:
        raise unsupported(f"gym.{name}")


def acquire_gym() -> Gym:
    """The one object all calls go through; it keeps nothing between simulations."""
    return Gym()
