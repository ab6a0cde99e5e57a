"""What of a MuJoCo model decides how long a step takes: read from a model, printed, and given to ours."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import List, Tuple

import mujoco

from robot_configs.errors import Go1Error
from robot_configs.robot import RobotModel
from sim.engines.mujoco_model import FLOOR, training_spec

_AUTORESET = mujoco.mjtDisableBit.mjDSBL_AUTORESET


class PhysicsSettingsError(Go1Error):
    """Settings that our model can not have."""


@dataclass(frozen=True)
class PhysicsSettings:
    """Settings of one simulation; names are MuJoCo's own without their prefixes.

    Attributes:
        time_step_s: of the physics [s]; `decimation` of them make a control step.
        iterations, line_search_iterations: at most, of the solver.
        disabled: parts of the pipeline that are switched off; what becomes of a robot whose physics diverges is none.
        contact_pairs: pairs of geoms that can touch.
        contact_dimensions: that occur among those pairs, ascending.
    """

    time_step_s: float
    decimation: int
    solver: str
    iterations: int
    line_search_iterations: int
    cone: str
    integrator: str
    disabled: Tuple[str, ...]
    contact_pairs: int
    contact_dimensions: Tuple[int, ...]

    @classmethod
    def of(cls, model: mujoco.MjModel, decimation: int) -> PhysicsSettings:
        """Those of a model."""
        option, pairs = model.opt, contact_pairs(model)
        flags = [(name, bit) for name, bit in mujoco.mjtDisableBit.__members__.items() if bit != _AUTORESET]
        return cls(
            time_step_s=float(option.timestep),
            decimation=decimation,
            solver=mujoco.mjtSolver(option.solver).name.removeprefix("mjSOL_"),
            iterations=int(option.iterations),
            line_search_iterations=int(option.ls_iterations),
            cone=mujoco.mjtCone(option.cone).name.removeprefix("mjCONE_"),
            integrator=mujoco.mjtIntegrator(option.integrator).name.removeprefix("mjINT_"),
            disabled=tuple(name.removeprefix("mjDSBL_") for name, bit in flags if option.disableflags & int(bit)),
            contact_pairs=len(pairs),
            contact_dimensions=tuple(sorted({_dimension(model, *pair) for pair in pairs})),
        )

    @classmethod
    def of_scene(cls, scene: Path, sim_dt_s: float, ctrl_dt_s: float) -> PhysicsSettings:
        """Those of a scene whose program sets the time step itself, as MuJoCo Playground does."""
        model = mujoco.MjModel.from_xml_path(str(scene))
        model.opt.timestep = sim_dt_s
        return cls.of(model, round(ctrl_dt_s / sim_dt_s))

    def __str__(self) -> str:
        without = f" without {', '.join(self.disabled)}" if self.disabled else ""
        return (
            f"{self.time_step_s * 1e3:g} ms x {self.decimation}, {self.solver} with {self.iterations} iterations of "
            f"{self.line_search_iterations} line searches, {self.cone}, {self.integrator}{without}, "
            f"{self.contact_pairs} contact pairs of {', '.join(map(str, self.contact_dimensions))} dimensions"
        )


def contact_pairs(model: mujoco.MjModel) -> List[Tuple[int, int]]:
    """Geoms that can touch: MuJoCo's own filter by types, bodies and their parents; explicit pairs are not counted."""
    pairs = []
    for first in range(model.ngeom):
        for second in range(first + 1, model.ngeom):
            meets = model.geom_contype[first] & model.geom_conaffinity[second]
            meets |= model.geom_contype[second] & model.geom_conaffinity[first]
            if meets and not _related(model, first, second):
                pairs.append((first, second))
    return pairs


def _related(model: mujoco.MjModel, first: int, second: int) -> bool:
    """Whether MuJoCo lets two geoms through each other: of one body, or of a body and its parent, the world apart."""
    bodies = [int(model.body_weldid[model.geom_bodyid[geom]]) for geom in (first, second)]
    if bodies[0] == bodies[1]:
        return True
    parents = [int(model.body_weldid[model.body_parentid[body]]) for body in bodies]
    return 0 not in bodies and (parents[0] == bodies[1] or parents[1] == bodies[0])


def _dimension(model: mujoco.MjModel, first: int, second: int) -> int:
    """Of a pair's contact: that of the geom with the higher priority, or the larger."""
    by_priority = model.geom_priority[first] - model.geom_priority[second]
    if by_priority:
        return int(model.geom_condim[first if by_priority > 0 else second])
    return int(max(model.geom_condim[first], model.geom_condim[second]))


def matched_model(theirs: PhysicsSettings, robot: RobotModel) -> mujoco.MjModel:
    """Our training model, on the plane, with their settings; of contacts only those of the feet with the floor remain.

    Raises:
        PhysicsSettingsError: theirs are not the contacts of four feet, or something else came out differently.
    """
    spec = training_spec()
    spec.option.timestep = theirs.time_step_s
    spec.option.solver = getattr(mujoco.mjtSolver, f"mjSOL_{theirs.solver}")
    spec.option.iterations, spec.option.ls_iterations = theirs.iterations, theirs.line_search_iterations
    spec.option.cone = getattr(mujoco.mjtCone, f"mjCONE_{theirs.cone}")
    spec.option.integrator = getattr(mujoco.mjtIntegrator, f"mjINT_{theirs.integrator}")
    disabled = [getattr(mujoco.mjtDisableBit, f"mjDSBL_{name}") for name in theirs.disabled]
    spec.option.disableflags = sum(int(bit) for bit in (_AUTORESET, *disabled))
    touching = {FLOOR, *(f"{name}_foot" for name in robot.foot_names)}
    for geom in spec.geoms:
        if geom.name not in touching:
            geom.contype = geom.conaffinity = 0
    model = spec.compile()
    wanted, found = asdict(theirs), asdict(PhysicsSettings.of(model, theirs.decimation))
    other = [name for name in wanted if wanted[name] != found[name]]
    if other:
        raise PhysicsSettingsError(
            ", ".join(f"{name} {wanted[name]}" for name in other),
            ", ".join(f"{name} {found[name]}" for name in other),
            "Teach benchmarks.physics_settings.matched_model this setting.",
        )
    return model
