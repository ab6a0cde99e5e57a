"""What the critic of the velocity task sees beyond the observation: its parts, their widths and their order."""

from __future__ import annotations

from typing import Dict

PRIVILEGED: Dict[str, int] = {
    "linear_velocity": 3,
    "gravity": 3,
    "angular_velocity": 3,
    "trunk_height": 1,
    "foot_height": 4,
    "friction": 1,
    "payload": 1,
    "delay": 1,
}
"""Width by name; vectors in the trunk's frame, feet in the robot's order."""
PRIVILEGED_WIDTH = sum(PRIVILEGED.values())
