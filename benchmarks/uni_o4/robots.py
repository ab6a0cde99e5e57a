"""The benchmark's robots, and the returns between which D4RL calls a score 0 and 100."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from robot_configs.errors import Go1Error

ACTION_LIMIT = 1.0  # of each action of these robots; Gymnasium's MuJoCo documentation, "Action Space"
EPISODE_STEPS = 1000  # at most; Gymnasium's registration of the v5 environments


class BenchmarkError(Go1Error):
    """Something about the benchmark's data, settings or packages that a person can put right."""


@dataclass(frozen=True)
class BenchmarkRobot:
    """One Gymnasium MuJoCo robot.

    Attributes:
        name: as on the command line and in D4RL. environment_id: in Gymnasium.
        observation_dim, action_dim: widths.
        random_return, expert_return: undiscounted returns of an episode that score 0 and 100.
    """

    name: str
    environment_id: str
    observation_dim: int
    action_dim: int
    random_return: float
    expert_return: float

    def normalized_score(self, episode_return: float) -> float:
        """100 (R - R_random) / (R_expert - R_random), as D4RL counts (Fu et al. 2020, arXiv 2004.07219)."""
        return 100.0 * (episode_return - self.random_return) / (self.expert_return - self.random_return)


# Reference returns: REF_MIN_SCORE and REF_MAX_SCORE of d4rl/infos.py, the same for v0 to v2 of its data. They were
# measured on the v2 environments; v5 differs from those in details (Hopper and Walker2d earn no survival reward in the
# step that ends them), so scores compare within this benchmark and only roughly with published tables.
ROBOTS = {
    robot.name: robot
    for robot in (
        BenchmarkRobot("halfcheetah", "HalfCheetah-v5", 17, 6, -280.178953, 12135.0),
        BenchmarkRobot("hopper", "Hopper-v5", 11, 3, -20.272305, 3234.3),
        BenchmarkRobot("walker2d", "Walker2d-v5", 17, 6, 1.629008, 4592.3),
    )
}


def benchmark_robot(name: str) -> BenchmarkRobot:
    """The robot of that name.

    Raises:
        BenchmarkError: there is none.
    """
    if name not in ROBOTS:
        raise BenchmarkError(f"a robot of {', '.join(ROBOTS)}", repr(name), "Correct the name.")
    return ROBOTS[name]


def benchmark_package(name: str) -> ModuleType:
    """A package that only the benchmark needs.

    Raises:
        BenchmarkError: it is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise BenchmarkError(
            f"the package {name}",
            str(error),
            "Install the benchmark's packages into an environment of their own: "
            "pip install -r benchmarks/uni_o4/requirements.txt",
        ) from None
