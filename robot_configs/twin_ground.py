"""The ground of a twin's condition, and how every section of one is checked."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from robot_configs.errors import Go1Error

FIRM_BUMPS_S = 0.03
"""T z of `Ground` below which a standing foot sinks in by millimetres [s]."""


class TwinConditionError(Go1Error):
    """A condition that does not exist, or whose file has an unknown key, lacks one, or holds an impossible value."""


def within(lower: float, upper: float) -> Any:
    """A dataclass field whose value (or each of whose values) must lie in [lower, upper]."""
    return field(metadata={"lower": lower, "upper": upper})


@dataclass(frozen=True)
class CheckedSection:
    """Checks every bounded field at construction, so that `dataclasses.replace` cannot make an impossible condition."""

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            if not entry.metadata:
                continue
            lower, upper = entry.metadata["lower"], entry.metadata["upper"]
            value = getattr(self, entry.name)
            for number in value if isinstance(value, tuple) else (value,):
                if not (math.isfinite(number) and lower <= number <= upper):
                    raise TwinConditionError(
                        f"{type(self).__name__}.{entry.name} within [{lower:g}, {upper:g}]",
                        f"{value!r}",
                        "Correct the value; the unit is part of the key's name.",
                    )


@dataclass(frozen=True)
class Ground(CheckedSection):
    """The floor and its contact with the feet.

    A foot on the floor is a spring and a damper in MuJoCo's terms (its documentation, "Solver parameters"): with time
    constant T, damping ratio z and impedance d, the contact pulls the foot with the reference acceleration
    -(2 / (d T)) v - (1 / (d T^2 z^2)) r at depth r, and yields to a share 1 - d of any other acceleration. A standing
    foot therefore sinks in proportion to (1 - d) T^2 z^2; `nominal` and `mattress` say how deep. A foot that moves
    while it is sunk in is held back by the drag of `sim.twin.foot_drag` besides.
    """

    friction: float = within(0.01, 2.0)
    """Sliding coefficient between foot and floor [-]."""
    contact_time_constant_s: float = within(0.002, 1.0)
    """T above [s]; at least twice the physics step of 1 ms, or the contact cannot be integrated."""
    contact_damping_ratio: float = within(0.05, 10.0)
    """z above [-]; 1 is critically damped: the floor gives the foot's energy not back but swallows it."""
    impedance_at_touch: float = within(0.01, 0.9999)
    """d at zero depth [-]."""
    impedance_at_width: float = within(0.01, 0.9999)
    """d at `penetration_width_m` and below [-]; larger than at touch: the floor hardens as the foot sinks in."""
    penetration_width_m: float = within(1e-5, 0.5)
    """Depth over which d goes from the one to the other [m]."""
    foot_drag_n_s_m2: float = within(0.0, 10000.0)
    """Force along the ground against a sunken foot's motion, per depth and speed [N s/m^2]; 0 is ground without it."""
    roughness_height_m: float = within(0.0, 0.2)
    """Highest bump of the ground [m]; 0 is flat."""
    roughness_spacing_m: float = within(0.05, 1.0)
    """Horizontal distance between the supporting points of the bumps [m]."""
    slope_rad: float = within(-0.6, 0.6)
    """Inclination [rad]; positive rises along the world's +x, the direction the robot faces at reset."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.roughness_height_m > 0.0 and self.contact_time_constant_s * self.contact_damping_ratio > FIRM_BUMPS_S:
            raise TwinConditionError(
                f"bumps of firm ground: contact_time_constant_s x contact_damping_ratio of at most {FIRM_BUMPS_S:g} s",
                f"{self.contact_time_constant_s * self.contact_damping_ratio:g} s",
                "Make the ground stiffer, or even: MuJoCo pushes feet out of soft bumps sideways.",
            )
        if self.roughness_height_m > 0.0 and self.foot_drag_n_s_m2 > 0.0:
            raise TwinConditionError(
                "even ground where it drags on the feet, whose depth is measured from the level",
                f"bumps of {self.roughness_height_m:g} m and foot_drag_n_s_m2 of {self.foot_drag_n_s_m2:g}",
                "Set one of them to 0.",
            )
