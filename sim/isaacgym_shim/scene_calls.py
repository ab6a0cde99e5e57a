"""gymapi's calls that make a simulation, its ground, its environments, and time pass."""

from __future__ import annotations

import numpy as np

from sim.isaacgym_shim.enumerations import SimType
from sim.isaacgym_shim.errors import IsaacGymShimError, UnsupportedCallError
from sim.isaacgym_shim.ground import height_field, plane, triangle_mesh
from sim.isaacgym_shim.parameters import HeightFieldParams, PlaneParams, SimParams, TriangleMeshParams
from sim.isaacgym_shim.simulation import Env, Sim
from sim.isaacgym_shim.value_types import Vec3


class SceneCalls:
    """Part of `Gym`; names and parameters are Isaac Gym's."""

    def create_sim(
        self,
        compute_device: int = 0,
        graphics_device: int = 0,
        type: SimType = SimType.SIM_PHYSX,
        params: SimParams | None = None,
    ) -> Sim:
        """A simulation on the CPU, whatever the device numbers say."""
        if type != SimType.SIM_PHYSX:
            raise UnsupportedCallError(f"create_sim with {type!r}", "Pass gymapi.SIM_PHYSX.")
        return Sim(params if params is not None else SimParams())

    def destroy_sim(self, sim: Sim) -> None:
        """Nothing to free that Python does not."""

    def get_sim_params(self, sim: Sim) -> SimParams:
        return sim.params

    def add_ground(self, sim: Sim, params: PlaneParams) -> None:
        sim.must_be_open("add_ground")
        sim.grounds.append(plane(params))

    def add_heightfield(self, sim: Sim, samples: np.ndarray, params: HeightFieldParams) -> None:
        sim.must_be_open("add_heightfield")
        sim.grounds.append(height_field(samples, params))

    def add_triangle_mesh(
        self, sim: Sim, vertices: np.ndarray, triangles: np.ndarray, params: TriangleMeshParams
    ) -> None:
        sim.must_be_open("add_triangle_mesh")
        sim.grounds.append(triangle_mesh(vertices, triangles, params))

    def create_env(self, sim: Sim, lower: Vec3, upper: Vec3, num_per_row: int) -> Env:
        """Isaac Gym spreads environments of some size over a grid; only size zero keeps one frame for all."""
        sim.must_be_open("create_env")
        if lower != Vec3() or upper != Vec3():
            raise UnsupportedCallError(
                f"create_env from {lower} to {upper}",
                "Pass Vec3(0, 0, 0) twice, as legged_gym does, and give each actor its own position.",
            )
        env = Env(sim, len(sim.envs))
        sim.envs.append(env)
        return env

    def get_env_count(self, sim: Sim) -> int:
        return len(sim.envs)

    def get_env(self, sim: Sim, index: int) -> Env:
        return sim.envs[index]

    def get_env_origin(self, env: Env) -> Vec3:
        return Vec3()

    def prepare_sim(self, sim: Sim) -> bool:
        sim.prepare()
        return True

    def simulate(self, sim: Sim) -> None:
        sim.running.simulate()

    def fetch_results(self, sim: Sim, wait_for_latest: bool) -> None:
        """Steps are finished when `simulate` returns."""
        if not sim.prepared:
            raise IsaacGymShimError("prepare_sim before fetch_results", "none yet", "Call prepare_sim once.")

    def get_sim_time(self, sim: Sim) -> float:
        return sim.running.frames * sim.params.dt

    def get_frame_count(self, sim: Sim) -> int:
        return sim.running.frames
