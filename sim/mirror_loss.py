"""rsl_rl's measure of how unlike its mirror image a policy acts, without its second run of the actor.

The loss is for the curve only. rsl_rl computes the actor's means anew for it, with their gradients, though the update
has just computed them for the same batch.
"""

from __future__ import annotations

import torch
from rsl_rl.env import VecEnv
from rsl_rl.extensions import Symmetry
from rsl_rl.models import MLPModel
from rsl_rl.storage import RolloutStorage

from sim.mirror import Mirror


class MirrorLoss(Symmetry):
    """Every batch with its mirror image behind it, and a loss that is logged and not learned from."""

    def __init__(self, env: VecEnv, mirror: Mirror) -> None:
        super().__init__(env, mirror.augment, use_data_augmentation=True)
        self._mirror = mirror

    def compute_loss(self, actor: MLPModel, batch: RolloutStorage.Batch, original_batch_size: int) -> torch.Tensor:
        """Mean squared difference (), without gradient, of the means in the mirror and the mirrored means.

        Args:
            actor: it was just run on all of the batch.
            batch: twice `original_batch_size` samples, the second half the image of the first.
        """
        means = actor.output_mean.detach()
        given, image = means[:original_batch_size], means[original_batch_size:]
        return torch.nn.functional.mse_loss(image, self._mirror.action(given))
