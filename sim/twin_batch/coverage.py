"""What a batch of twins leaves out, said in one place, and the conditions in which that would change the result.

Kept, by the twin's own code or tested against it: ground with bumps and slope, payload, joint friction and damping,
motor strength, torque-speed envelope, gains in the wire's fixed point, command delay, IMU and encoder errors, pushes,
folding and standing up.
"""

from __future__ import annotations

from robot_configs.robot import RobotModel
from robot_configs.twin_conditions import TwinCondition
from sim.twin_batch.errors import TwinBatchError

LEFT_OUT = (
    "the wire: packets, their CRC, and the fixed point of measured torques",
    "the gate: its limits on targets and every fault but the tilt, free fall included; a fall is a true tilt",
    "latency and loss of the link, and time that the policy's inference takes; the motors' own delay is kept",
    "sensor noise between policy steps: it is drawn where one looks, with the twin's own deviations: at 50 Hz for a "
    "policy, at every tick for the velocity estimate of a log",
    "loss, jitter and damage in logs: the velocity of a data set is the project's estimate, from sensors without a gap",
    "ground of one's own: on bumps robots share at most eight grounds, and intervals are over grounds",
    "battery and heat: they are not followed, and nothing measured of them means anything",
)
"""What a figure measured on a batch says nothing about, a line each."""


def require_covered(condition: TwinCondition, robot: RobotModel) -> None:
    """Refuse a condition in which something that a batch leaves out decides how the robot walks.

    Raises:
        TwinBatchError: the gate would not let this robot walk, for its battery is empty or its motors are hot.
    """
    power, safety = condition.power, robot.safety
    if power.start_soc_percent <= safety.battery_soc_minimum_percent:
        raise TwinBatchError(
            f"a battery above the gate's minimum of {safety.battery_soc_minimum_percent:g} % in {condition.name}",
            f"power.start_soc_percent: {power.start_soc_percent:g}",
            "Measure it through the wire: a batch of twins has neither gate nor battery.",
        )
    if power.ambient_temperature_c >= safety.motor_temperature_limit_c:
        raise TwinBatchError(
            f"motors below the gate's limit of {safety.motor_temperature_limit_c:g} degC in {condition.name}",
            f"power.ambient_temperature_c: {power.ambient_temperature_c:g}",
            "Measure it through the wire: a batch of twins has neither gate nor heat.",
        )
