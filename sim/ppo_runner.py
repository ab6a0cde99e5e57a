"""rsl_rl's PPO as this project runs it: curve, checkpoints, guards and processes of our own around its loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from rsl_rl.runners import OnPolicyRunner

from policy.trainer_state import TrainerState, save_trainer_state
from robot_configs.robot import load_robot
from sim.curve_log import CurveLog, Progress
from sim.distributed import ALONE, Processes
from sim.mirror import Mirror
from sim.mirror_loss import MirrorLoss
from sim.nan_guard import GuardedPpo, NonFiniteError
from sim.pretrain_checkpoint import curve_mark, iterations_done, make_checkpoint, restore_checkpoint
from sim.pretrain_settings import PretrainSettings
from sim.velocity_task import VelocityTask


class PpoRunner(OnPolicyRunner):
    """rsl_rl's runner with our curve file in place of its console log, and safetensors in place of pickles.

    Args:
        task: the robots of this process.
        settings: of the whole run.
        out: the run's folder.
        progress: called after every iteration.
        checkpoint: what to go on from.
        processes: this process among those of the run.
    """

    def __init__(
        self,
        task: VelocityTask,
        settings: PretrainSettings,
        out: Path,
        progress: Optional[Progress],
        checkpoint: Optional[TrainerState] = None,
        processes: Processes = ALONE,
    ) -> None:
        self._task, self._settings, self._out, self._processes = task, settings, out, processes
        super().__init__(task, _runner_configuration(settings), log_dir=None, device="cpu")
        if settings.mirror:
            self.alg.symmetry = MirrorLoss(task, Mirror(task.contract, load_robot()))
        self.logger = CurveLog(out, settings, progress, self.save, curve_mark(checkpoint), processes)
        if checkpoint is not None:
            restore_checkpoint(self.alg, task, checkpoint, processes)
            self.current_learning_iteration = iterations_done(checkpoint)

    def learn(self, num_learning_iterations: int, init_at_random_ep_len: bool = False) -> None:
        """See rsl_rl's runner.

        Raises:
            NonFiniteError: at the first number that is not finite, with its evidence in the run's folder.
        """
        try:
            super().learn(num_learning_iterations, init_at_random_ep_len)
        except NonFiniteError as error:
            error.save(self._out)
            raise

    def save(self, path: str, infos: Optional[dict[str, Any]] = None) -> None:
        """Everything that the run needs to go on, as one safetensors file. All processes must call."""
        mark = self.logger.mark()
        checkpoint = make_checkpoint(self.alg, self._task, self._settings, mark, self._processes)
        if self._processes.writes:
            save_trainer_state(Path(path), checkpoint)

    def _configure_multi_gpu(self) -> None:
        """Tell rsl_rl of the processes; its own way of doing so knows CUDA devices only."""
        processes = self._processes
        self.is_distributed, self.gpu_world_size = processes.count > 1, processes.count
        self.gpu_global_rank = self.gpu_local_rank = processes.rank
        ranks = {"global_rank": processes.rank, "local_rank": processes.rank, "world_size": processes.count}
        self.cfg["multi_gpu"] = ranks if self.is_distributed else None


def _runner_configuration(settings: PretrainSettings) -> dict[str, Any]:
    network = {"class_name": "MLPModel", "activation": "elu", "obs_normalization": False}
    gaussian = {"class_name": "GaussianDistribution", "init_std": settings.initial_std, "std_type": "log"}
    return {
        "num_steps_per_env": settings.steps_per_iteration,
        "save_interval": settings.iterations + 1,
        "obs_groups": {"actor": ["observation"], "critic": ["observation", "privileged"]},
        "actor": {**network, "hidden_dims": list(settings.actor_hidden), "distribution_cfg": gaussian},
        "critic": {**network, "hidden_dims": list(settings.critic_hidden)},
        "algorithm": {
            "class_name": GuardedPpo,
            "num_learning_epochs": settings.epochs,
            "num_mini_batches": settings.minibatches,
            "clip_param": settings.clip,
            "gamma": settings.gamma,
            "lam": settings.gae_lambda,
            "entropy_coef": settings.entropy_weight,
            "learning_rate": settings.learning_rate,
            "schedule": "adaptive",
            "desired_kl": settings.desired_kl,
            "max_grad_norm": 1.0,
            "value_loss_coef": 1.0,
            "use_clipped_value_loss": True,
        },
    }
