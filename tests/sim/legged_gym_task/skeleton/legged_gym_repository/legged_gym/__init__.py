"""A skeleton of legged_gym: its modules, the order in which they import each other, and the calls of its scripts.

Our own words throughout. What its robots do is left out; tests/sim/isaacgym_shim/test_legged_gym_sequence.py has that.
"""

from pathlib import Path

LEGGED_GYM_ROOT_DIR = str(Path(__file__).resolve().parents[1])
LEGGED_GYM_ENVS_DIR = str(Path(__file__).resolve().parent / "envs")
