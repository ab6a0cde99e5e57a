"""gymapi's calls on actors."""

from __future__ import annotations

import copy

import numpy as np

from sim.isaacgym_shim.asset_calls import check_shapes, must_be_zero, must_fit
from sim.isaacgym_shim.assets import Asset
from sim.isaacgym_shim.enumerations import IndexDomain
from sim.isaacgym_shim.errors import UnsupportedCallError
from sim.isaacgym_shim.parameters import RigidBodyProperties, RigidShapeProperties
from sim.isaacgym_shim.simulation import Env
from sim.isaacgym_shim.value_types import Transform, Vec3


class ActorCalls:
    """Part of `Gym`; names and parameters are Isaac Gym's."""

    def create_actor(
        self,
        env: Env,
        asset: Asset,
        pose: Transform,
        name: str = "",
        group: int = -1,
        filter: int = -1,
        segmentationId: int = 0,
    ) -> int:
        return env.sim.add_actor(env, asset, pose, name, group, filter)

    def get_actor_count(self, env: Env) -> int:
        return len(env.actors)

    def get_actor_index(self, env: Env, actor: int, domain: IndexDomain) -> int:
        env.actor(actor)
        return env.index if domain == IndexDomain.DOMAIN_SIM else actor

    def get_actor_dof_count(self, env: Env, actor: int) -> int:
        return len(env.actor(actor).asset.dof_names)

    def get_actor_rigid_body_count(self, env: Env, actor: int) -> int:
        return len(env.actor(actor).asset.body_names)

    def get_actor_dof_names(self, env: Env, actor: int) -> list[str]:
        return list(env.actor(actor).asset.dof_names)

    def get_actor_rigid_body_names(self, env: Env, actor: int) -> list[str]:
        return list(env.actor(actor).asset.body_names)

    def find_actor_rigid_body_handle(self, env: Env, actor: int, name: str) -> int:
        """Handles count within an environment, which holds one actor: the body's place in its asset, or -1."""
        names = env.actor(actor).asset.body_names
        return names.index(name) if name in names else -1

    def find_actor_dof_handle(self, env: Env, actor: int, name: str) -> int:
        names = env.actor(actor).asset.dof_names
        return names.index(name) if name in names else -1

    def get_actor_dof_properties(self, env: Env, actor: int) -> np.ndarray:
        """(D,) of DOF_PROPERTIES, a copy."""
        return env.actor(actor).dof_properties.copy()

    def set_actor_dof_properties(self, env: Env, actor: int, properties: np.ndarray) -> bool:
        robot = env.actor(actor)
        must_fit(properties, robot.asset.dof_names, "degrees of freedom")
        for name, new, old in zip(
            robot.asset.dof_names, properties["hasLimits"], robot.asset.dof_properties["hasLimits"], strict=True
        ):
            if new != old:
                raise UnsupportedCallError(f"hasLimits = {bool(new)} of {name}", "Say it in the asset's file.")
        robot.dof_properties = np.array(properties, dtype=robot.dof_properties.dtype)
        if env.sim.prepared:
            env.sim.running.set_dof_properties(env.index, robot.dof_properties)
        return True

    def get_actor_rigid_body_properties(self, env: Env, actor: int) -> list[RigidBodyProperties]:
        return copy.deepcopy(env.actor(actor).body_properties)

    def set_actor_rigid_body_properties(
        self, env: Env, actorHandle: int, props: list[RigidBodyProperties], recomputeInertia: bool = False
    ) -> bool:
        """With `recomputeInertia`, inertias are scaled by how much the masses changed."""
        robot = env.actor(actorHandle)
        must_fit(props, robot.asset.body_names, "rigid bodies")
        for body in props:
            must_be_zero(body, "flags")
        changed = copy.deepcopy(list(props))
        if recomputeInertia:
            for new, old in zip(changed, robot.body_properties, strict=True):
                _scale_inertia(new, new.mass / old.mass if old.mass > 0.0 else 1.0)
        robot.body_properties = changed
        if env.sim.prepared:
            env.sim.running.set_body_properties(env.index, changed)
        return True

    def get_actor_rigid_shape_properties(self, env: Env, actor: int) -> list[RigidShapeProperties]:
        return copy.deepcopy(env.actor(actor).shape_properties)

    def set_actor_rigid_shape_properties(self, env: Env, actor: int, properties: list[RigidShapeProperties]) -> bool:
        robot = env.actor(actor)
        check_shapes(properties, robot.asset)
        robot.shape_properties = copy.deepcopy(list(properties))
        if env.sim.prepared:
            env.sim.running.set_shape_properties(env.index, robot.shape_properties)
        return True


def _scale_inertia(properties: RigidBodyProperties, factor: float) -> None:
    rows = properties.inertia.x, properties.inertia.y, properties.inertia.z
    scaled: tuple[Vec3, ...] = tuple(row * factor for row in rows)
    properties.inertia.x, properties.inertia.y, properties.inertia.z = scaled
