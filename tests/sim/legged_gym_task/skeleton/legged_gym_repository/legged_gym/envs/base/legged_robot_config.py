"""Configurations: nested classes that become objects of their own when one is made."""


class BaseConfig:
    def __init__(self) -> None:
        self.make_members(self)

    @staticmethod
    def make_members(owner) -> None:
        for name in dir(owner):
            nested = getattr(owner, name)
            if isinstance(nested, type) and name != "__class__":
                setattr(owner, name, nested())
                BaseConfig.make_members(getattr(owner, name))


class LeggedRobotCfg(BaseConfig):
    """Those names that our task is derived from or that the scripts touch."""

    class env:
        num_envs = 4096
        env_spacing = 3.0

    class terrain:
        mesh_type = "trimesh"
        curriculum = True
        num_rows = 10
        num_cols = 20

    class control:
        action_scale = 0.5

    class domain_rand:
        randomize_friction = True
        randomize_base_mass = False
        push_robots = True

    class noise:
        add_noise = True

    class viewer:
        pos = [10, 0, 6]
        lookat = [11.0, 5, 3.0]

    class sim:
        dt = 0.005
        substeps = 1
        gravity = [0.0, 0.0, -9.81]
        up_axis = 1

        class physx:
            num_threads = 1
            solver_type = 1
            max_gpu_contact_pairs = 2**23


class LeggedRobotCfgPPO(BaseConfig):
    seed = 1
    runner_class_name = "OnPolicyRunner"

    class policy:
        init_noise_std = 1.0

    class algorithm:
        value_loss_coef = 1.0
        max_grad_norm = 1.0

    class runner:
        policy_class_name = "ActorCritic"
        algorithm_class_name = "PPO"
        num_steps_per_env = 24
        max_iterations = 1500
        save_interval = 50
        experiment_name = "test"
        run_name = ""
        resume = False
        load_run = -1
        checkpoint = -1
