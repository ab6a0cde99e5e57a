"""What legged_gym brings along: configuration classes and a registry, as bare as its scripts need them."""

from types import SimpleNamespace

import pytest


class Configuration:
    """As legged_gym's BaseConfig: nested classes become objects of their own when one is made."""

    def __init__(self) -> None:
        for name in dir(self):
            nested = getattr(self, name)
            if isinstance(nested, type) and not name.startswith("_"):
                setattr(self, name, nested())


class EnvironmentBase(Configuration):
    """The names of LeggedRobotCfg that are derived from here."""

    class env:
        num_envs = 4096
        env_spacing = 3.0

    class terrain:
        mesh_type = "trimesh"
        num_rows = 10

    class control:
        action_scale = 0.5

    class domain_rand:
        randomize_base_mass = False

    class noise:
        add_noise = True

    class sim:
        dt = 0.005
        substeps = 1
        gravity = [0.0, 0.0, -9.81]
        up_axis = 1

        class physx:
            num_threads = 1
            solver_type = 1


class TrainingBase(Configuration):
    """The names of LeggedRobotCfgPPO that are derived from here."""

    class policy:
        init_noise_std = 1.0

    class algorithm:
        value_loss_coef = 1.0
        max_grad_norm = 1.0

    class runner:
        max_iterations = 1500
        resume = False


class Registry:
    """As legged_gym's TaskRegistry."""

    def __init__(self) -> None:
        self.tasks: dict[str, SimpleNamespace] = {}

    def register(self, name, task_class, env_cfg, train_cfg) -> None:
        self.tasks[name] = SimpleNamespace(task_class=task_class, env_cfg=env_cfg, train_cfg=train_cfg)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Our entry of a registry, on the shim."""
    from sim.legged_gym_task.registration import register

    monkeypatch.setenv("GO1_ISAACGYM_SHIM", "1")
    registry = Registry()
    register(registry, EnvironmentBase, TrainingBase)
    return registry.tasks["go1_velocity"]
