"""The published method's sizes: Lei et al. 2024, section 5 and appendix.

Four clones as wide as its Go1 actor, Q of 2 x 1024, V of 3 x 512. An update of these critics costs seven times that of
the smaller default ones (see `CriticSettings`), so that all 20,000 take more than an hour on one thread.
"""

from __future__ import annotations

from policy.uni_o4.cloning import CloningSettings
from policy.uni_o4.critics import CriticSettings

PAPER_CLONING = CloningSettings(members=4, hidden_dims=(512, 256, 128))
PAPER_CRITICS = CriticSettings(action_value_dims=(1024, 1024), value_dims=(512, 512, 512))
