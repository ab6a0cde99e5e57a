"""What a payload makes of a robot's trunk: one arithmetic for all engines."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sim.engines.protocol import PhysicsParameters


class LoadedTrunk(NamedTuple):
    """N trunks with their payloads.

    Attributes:
        mass_kg: (N,).
        center_shift_m: (N, 3) of the centre of mass, trunk's axes.
        added_inertia: (N, 3) [kg m^2] about the new centre of mass, to the diagonal in the trunk's axes.
    """

    mass_kg: np.ndarray
    center_shift_m: np.ndarray
    added_inertia: np.ndarray


def loaded_trunk(bare_kg: np.ndarray, parameters: PhysicsParameters) -> LoadedTrunk:
    """The payload as a point: centres meet by weight, inertia grows by the reduced mass.

    Args:
        bare_kg: (N,) of the trunks alone, scaled already.
    """
    payload, offset = parameters.payload_kg.double().numpy(), parameters.payload_offset_m.double().numpy()
    share = payload / (bare_kg + payload)
    shift = parameters.center_of_mass_shift_m.double().numpy() + share[:, None] * offset
    square = offset**2
    # About axis i the square of the distance is the sum of the other two; products of inertia are left out.
    added = (bare_kg * share)[:, None] * (square.sum(axis=1, keepdims=True) - square)
    return LoadedTrunk(bare_kg + payload, shift, added)
