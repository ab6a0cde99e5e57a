"""A simulation before it runs: its grounds, environments and actors, each actor with properties of its own."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np

from sim.isaacgym_shim.assets import Asset
from sim.isaacgym_shim.enumerations import UpAxis
from sim.isaacgym_shim.errors import IsaacGymShimError, UnsupportedCallError
from sim.isaacgym_shim.ground import Ground
from sim.isaacgym_shim.parameters import RigidBodyProperties, RigidShapeProperties, SimParams
from sim.isaacgym_shim.running_world import RunningWorld
from sim.isaacgym_shim.value_types import Transform
from sim.isaacgym_shim.world import build_model


@dataclass(eq=False)
class Actor:
    """A robot in an environment."""

    asset: Asset
    name: str
    pose: Transform
    self_collisions: bool
    dof_properties: np.ndarray
    body_properties: list[RigidBodyProperties]
    shape_properties: list[RigidShapeProperties]


@dataclass(eq=False)
class Env:
    """One environment; its origin is the world's."""

    sim: Sim
    index: int
    actors: list[Actor] = field(default_factory=list)

    def actor(self, handle: int) -> Actor:
        if not 0 <= handle < len(self.actors):
            raise IsaacGymShimError(
                f"an actor handle below {len(self.actors)}", f"{handle}", "Use what create_actor returned."
            )
        return self.actors[handle]


class Sim:
    """What `create_sim` returns."""

    def __init__(self, params: SimParams) -> None:
        if params.use_gpu_pipeline:
            raise UnsupportedCallError("SimParams.use_gpu_pipeline", "The shim computes on the CPU: --sim_device cpu.")
        if params.up_axis != UpAxis.UP_AXIS_Z:
            raise UnsupportedCallError("SimParams.up_axis = UP_AXIS_Y", "Set up_axis to gymapi.UP_AXIS_Z.")
        self.params = copy.deepcopy(params)
        self.grounds: list[Ground] = []
        self.envs: list[Env] = []
        self._running: RunningWorld | None = None

    @property
    def prepared(self) -> bool:
        return self._running is not None

    @property
    def running(self) -> RunningWorld:
        """The world in motion."""
        if self._running is None:
            raise IsaacGymShimError("prepare_sim before state tensors and steps", "none yet", "Call prepare_sim once.")
        return self._running

    def must_be_open(self, call: str) -> None:
        if self.prepared:
            raise IsaacGymShimError(f"{call} before prepare_sim", "a call after it", "Build the whole scene first.")

    def add_actor(self, env: Env, asset: Asset, pose: Transform, name: str, group: int, filter_bits: int) -> int:
        """One actor an environment, all of one asset, each alone in its collision group."""
        self.must_be_open("create_actor")
        if env.actors:
            raise UnsupportedCallError("a second actor in an environment", "Put one robot into each.")
        others = [other.actors[0] for other in self.envs if other.actors]
        if others and others[0].asset is not asset:
            raise UnsupportedCallError("a second asset in a simulation", "Give all environments the same asset.")
        if group != env.index:
            raise UnsupportedCallError(
                f"collision group {group} in environment {env.index}",
                "Robots of different environments never touch here: pass the environment's number as the group.",
            )
        env.actors.append(
            Actor(
                asset,
                name,
                copy.deepcopy(pose),
                self_collisions=filter_bits == 0,
                dof_properties=asset.dof_properties.copy(),
                body_properties=copy.deepcopy(asset.body_properties),
                shape_properties=copy.deepcopy(asset.shape_properties),
            )
        )
        return 0

    def prepare(self) -> None:
        """Compile the scene; from here on, properties act on the running world."""
        self.must_be_open("prepare_sim")
        actors = [env.actors[0] for env in self.envs if env.actors]
        if not actors or len(actors) != len(self.envs):
            raise IsaacGymShimError(
                "an actor in every environment", f"{len(actors)} in {len(self.envs)}", "Call create_actor for each."
            )
        if len({actor.self_collisions for actor in actors}) != 1:
            raise UnsupportedCallError("self-collisions for some actors only", "Give all actors the same filter.")
        asset = actors[0].asset
        model = build_model(asset, self.grounds, self.params, actors[0].self_collisions)
        friction = self.grounds[0].friction if self.grounds else 0.0
        self._running = RunningWorld(model, asset, len(actors), self.params, friction)
        self._running.place([actor.pose for actor in actors])
        for row, actor in enumerate(actors):
            self._running.set_dof_properties(row, actor.dof_properties)
            self._running.set_body_properties(row, actor.body_properties)
            self._running.set_shape_properties(row, actor.shape_properties)
