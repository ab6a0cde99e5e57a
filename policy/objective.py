"""The clipped policy objective that Uni-O4 uses offline, in the model and online, with the quantities around it.

There is one copy of each formula: `policy.uni_o4.offline` and `policy.uni_o4.online` both import it from here. Every
function is pure, works on float32 tensors and draws no random numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_MINIMUM_SPREAD = 1e-6  # below this a batch of advantages is constant and carries no preference


@dataclass(frozen=True)
class SurrogateStatistics:
    """What one evaluation of the clipped surrogate says about the step so far; plain detached floats."""

    approximate_kl: float
    """Estimate of KL(old || new) from the sampled actions, mean of (r - 1) - log r [nat]; never negative."""
    clip_fraction: float
    """Share of samples whose ratio lies outside [1 - clip, 1 + clip]."""


def clipped_surrogate(
    log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, clip: float
) -> tuple[Tensor, SurrogateStatistics]:
    """Loss of the clipped policy gradient, to be minimised (Schulman et al. 2017, equation 7; Uni-O4, equation 6).

    log_prob, old_log_prob, advantage: (N,). log_prob carries the gradient; the other two are constants. clip is the
    half width of the trust interval of the probability ratio.
    """
    # Probability ratio: r = pi(a|s) / pi_old(a|s).
    log_ratio = log_prob - old_log_prob
    ratio = log_ratio.exp()

    # L = -E[ min(r A, clip(r, 1 - eps, 1 + eps) A) ]
    unclipped = ratio * advantage
    clipped = ratio.clamp(1.0 - clip, 1.0 + clip) * advantage
    loss = -torch.minimum(unclipped, clipped).mean()

    with torch.no_grad():
        approximate_kl = (ratio - 1.0 - log_ratio).mean().item()
        clip_fraction = ((ratio - 1.0).abs() > clip).float().mean().item()
    return loss, SurrogateStatistics(approximate_kl, clip_fraction)


def gaussian_entropy(std: Tensor) -> Tensor:
    """Entropy of a diagonal Gaussian, summed over actions: (..., A) -> (...,) [nat]."""
    return (std.log() + 0.5 * math.log(2.0 * math.pi * math.e)).sum(-1)


def gaussian_kl(mean_old: Tensor, std_old: Tensor, mean_new: Tensor, std_new: Tensor) -> Tensor:
    """Exact KL(old || new) of two diagonal Gaussians in each state, summed over actions: (N, A) x 4 -> (N,) [nat]."""
    variance_ratio = (std_old / std_new).square()
    shift = ((mean_new - mean_old) / std_new).square()
    return 0.5 * (variance_ratio + shift - 1.0 - variance_ratio.log()).sum(-1)


def generalized_advantage(
    reward: Tensor,
    value: Tensor,
    next_value: Tensor,
    terminated: Tensor,
    episode_end: Tensor,
    discount: float,
    trace_decay: float,
) -> Tensor:
    """Generalised advantage estimates (Schulman et al. 2016, equation 16), time along the first dimension.

    All tensors are (T, ...). `terminated`: the step led into a terminal state, so nothing follows it and next_value is
    ignored. `episode_end`: the row below belongs to another stretch (a fall, a recording that stopped, a masked gap),
    so the trace is cut; without `terminated` the step still bootstraps from next_value, the value of its own next
    state.
    """
    # delta_t = r_t + gamma (1 - terminated_t) V(s'_t) - V(s_t)
    error = reward + discount * next_value.masked_fill(terminated, 0.0) - value

    # A_t = delta_t + gamma lambda (1 - end_t) A_{t+1}
    linked = 1.0 - (terminated | episode_end).to(reward.dtype)
    return _accumulate_backwards(error, discount * trace_decay * linked)


def _accumulate_backwards(term: Tensor, link: Tensor) -> Tensor:
    """Solve x_t = term_t + link_t x_{t+1} along the first dimension by doubling: log2(T) passes, no loop over time."""
    total, reach, stride = term.clone(), link.clone(), 1
    reach[-1] = 0.0  # nothing follows the last row
    while stride < len(total) and bool(reach.any()):
        total[:-stride] = total[:-stride] + reach[:-stride] * total[stride:]
        reach[:-stride] = reach[:-stride] * reach[stride:]
        stride *= 2
    return total


def normalize_advantage(advantage: Tensor) -> Tensor:
    """Zero mean and unit standard deviation over the batch; a constant batch becomes all zeros."""
    centred = advantage - advantage.mean()
    spread = centred.square().mean().sqrt()
    return centred / spread if float(spread) > _MINIMUM_SPREAD else torch.zeros_like(advantage)


def value_loss(value: Tensor, target: Tensor, old_value: Tensor | None = None, clip: float | None = None) -> Tensor:
    """Half the mean squared error to the return; with old_value and clip, the pessimistic clipped form of PPO.

    value, target, old_value: (N,) in scaled reward units; clip in the same units.
    """
    error = (value - target).square()
    if old_value is not None and clip is not None:
        held_back = old_value + (value - old_value).clamp(-clip, clip)
        error = torch.maximum(error, (held_back - target).square())
    return 0.5 * error.mean()


def expectile_loss(error: Tensor, expectile: float) -> Tensor:
    """Asymmetric squared error |expectile - 1(error < 0)| error^2 (Kostrikov et al. 2022, equation 5), mean over (N,).

    error is target minus prediction; expectile 0.5 is half the squared error, towards 1 the fit approaches the maximum.
    """
    weight = torch.where(error < 0.0, 1.0 - expectile, expectile)
    return (weight * error.square()).mean()


def explained_variance(prediction: Tensor, target: Tensor) -> float:
    """1 - Var(target - prediction) / Var(target) over (N,); 1 is perfect, 0 is no better than a constant."""
    spread = target.var(unbiased=False)
    if float(spread) == 0.0:
        return 0.0
    return float(1.0 - (target - prediction).var(unbiased=False) / spread)
