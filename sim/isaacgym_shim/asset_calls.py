"""gymapi's calls on assets."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np

from sim.isaacgym_shim import assets
from sim.isaacgym_shim.assets import Asset
from sim.isaacgym_shim.errors import IsaacGymShimError, UnsupportedCallError
from sim.isaacgym_shim.parameters import AssetOptions, RigidBodyProperties, RigidShapeProperties
from sim.isaacgym_shim.simulation import Sim


class IndexRange:
    """Shapes `start` to `start + count` of a body."""

    def __init__(self, start: int, count: int) -> None:
        self.start = start
        self.count = count


class AssetCalls:
    """Part of `Gym`; names and parameters are Isaac Gym's."""

    def load_asset(self, sim: Sim, rootpath: str, filename: str, options: AssetOptions | None = None) -> Asset:
        return assets.load_asset(Path(rootpath) / filename, options if options is not None else AssetOptions())

    def get_asset_dof_count(self, asset: Asset) -> int:
        return len(asset.dof_names)

    def get_asset_rigid_body_count(self, asset: Asset) -> int:
        return len(asset.body_names)

    def get_asset_rigid_shape_count(self, asset: Asset) -> int:
        return len(asset.shape_names)

    def get_asset_dof_names(self, asset: Asset) -> list[str]:
        return list(asset.dof_names)

    def get_asset_rigid_body_names(self, asset: Asset) -> list[str]:
        return list(asset.body_names)

    def find_asset_rigid_body_index(self, asset: Asset, name: str) -> int:
        """-1 for a name that is not there, as in Isaac Gym."""
        return asset.body_names.index(name) if name in asset.body_names else -1

    def find_asset_dof_index(self, asset: Asset, name: str) -> int:
        """-1 for a name that is not there, as in Isaac Gym."""
        return asset.dof_names.index(name) if name in asset.dof_names else -1

    def get_asset_dof_properties(self, asset: Asset) -> np.ndarray:
        """(D,) of DOF_PROPERTIES, a copy."""
        return asset.dof_properties.copy()

    def get_asset_rigid_shape_properties(self, asset: Asset) -> list[RigidShapeProperties]:
        return copy.deepcopy(asset.shape_properties)

    def set_asset_rigid_shape_properties(self, asset: Asset, properties: list[RigidShapeProperties]) -> bool:
        """For the actors that are created from here on."""
        check_shapes(properties, asset)
        asset.shape_properties = copy.deepcopy(list(properties))
        return True

    def get_asset_rigid_body_shape_indices(self, asset: Asset) -> list[IndexRange]:
        return [IndexRange(start, count) for start, count in asset.shape_ranges]


def check_shapes(properties: list[RigidShapeProperties], asset: Asset) -> None:
    """One row for each shape, and none that asks for what MuJoCo's contact does not do."""
    must_fit(properties, asset.shape_names, "rigid shapes")
    for shape in properties:
        for name in ("restitution", "rolling_friction", "torsion_friction", "filter"):
            must_be_zero(shape, name)


def must_be_zero(properties: RigidShapeProperties | RigidBodyProperties, name: str) -> None:
    """A field that would change the motion, at its default."""
    value = getattr(properties, name)
    if value != 0:
        raise UnsupportedCallError(f"{type(properties).__name__}.{name} = {value}", f"Leave {name} at 0.")


def must_fit(properties: list | np.ndarray, names: tuple[str, ...], what: str) -> None:
    """One row of properties for each of what has them."""
    if len(properties) != len(names):
        raise IsaacGymShimError(f"properties of {len(names)} {what}", f"{len(properties)}", "Pass one for each.")
