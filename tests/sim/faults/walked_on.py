"""A trial in which nothing went wrong; tests change what they are about."""

import math

from sim.faults.trial import TrialResult

WALKED_ON = TrialResult(
    name="case",
    onset_s=2.0,
    damped_s=None,
    tilted_s=None,
    reasons="",
    moved_again_s=None,
    allowed_again_s=math.inf,
    violations={},
    commands=1000,
    speed_error_m_s=0.1,
    longest_silence_s=0.002,
    refused={},
    recorder_error="",
    records_dropped=0,
    commands_sha256="a",
)
