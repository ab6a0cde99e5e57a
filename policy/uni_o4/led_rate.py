"""A learning rate that is led by how far updates move the policy, as rsl_rl leads its own."""

BOUNDS = (1e-5, 2e-3)
"""A rate that begins outside of them is not led further out."""

FACTOR = 1.5
"""Of one correction, where the KL is more than twice the desired one or less than half of it."""


def led_rate(rate: float, moved: float, desired: float) -> float:
    """The rate after an update that moved the policy by a KL of `moved` where `desired` [nat] was wanted."""
    lower, upper = BOUNDS
    if moved > 2.0 * desired:
        return min(rate, max(lower, rate / FACTOR))
    if moved < 0.5 * desired:
        return max(rate, min(upper, rate * FACTOR))
    return rate
