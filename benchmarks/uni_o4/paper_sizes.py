"""The published method's sizes, for whoever has the hours, and to say by how much a budget stays below them."""

from __future__ import annotations

from policy.uni_o4.critics import CriticSettings
from policy.uni_o4.dynamics import DynamicsSettings
from policy.uni_o4.published import PublishedSettings
from policy.uni_o4.published_sizes import PAPER_CLONING as PAPER_CLONING
from policy.uni_o4.published_sizes import PAPER_CRITICS as PAPER_CRITICS

# Lei et al. 2024 have seven members in their transition model; its widths are those of Janner et al. 2019 and Yu et al.
# 2020, whose model it takes over: 4 x 200.
PAPER_STEPS = PublishedSettings().updates
PAPER_CRITIC_UPDATES = 2_000_000  # v_steps and q_bc_steps of its code (main.py)
PAPER_DYNAMICS = DynamicsSettings(members=7, hidden_dims=(200, 200, 200, 200))


def has_paper_widths(critics: CriticSettings) -> bool:
    """Whether the critics are as wide as the published ones."""
    paper = PAPER_CRITICS
    return (critics.action_value_dims, critics.value_dims) == (paper.action_value_dims, paper.value_dims)


def is_reduced(critics: CriticSettings, published: PublishedSettings) -> bool:
    """Whether the published method has narrower critics, fewer updates of them or fewer clipped steps than its own."""
    fewer = critics.updates < PAPER_CRITIC_UPDATES or published.updates < PAPER_STEPS
    return fewer or not has_paper_widths(critics)
