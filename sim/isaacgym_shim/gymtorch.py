"""`isaacgym.gymtorch`: torch tensors in and out of the simulation, without copies."""

from __future__ import annotations

from typing import NoReturn

import torch

from sim.isaacgym_shim.errors import IsaacGymShimError, refuse_name


class Tensor:
    """What gymapi's calls take and give: memory that a torch tensor shares."""

    def __init__(self, torch_tensor: torch.Tensor) -> None:
        self.torch_tensor = torch_tensor
        self.own_data = False

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.torch_tensor.shape)

    @property
    def ndim(self) -> int:
        return self.torch_tensor.ndim

    @property
    def dtype(self) -> torch.dtype:
        return self.torch_tensor.dtype

    @property
    def device(self) -> int:
        return -1

    @property
    def data_address(self) -> int:
        return self.torch_tensor.data_ptr()


def wrap_tensor(gym_tensor: Tensor) -> torch.Tensor:
    """The torch tensor on the memory of a gym tensor."""
    return gym_tensor.torch_tensor


def unwrap_tensor(torch_tensor: torch.Tensor) -> Tensor:
    """The gym tensor on the memory of a torch tensor, which must be contiguous and on the CPU."""
    if not torch_tensor.is_contiguous():
        raise IsaacGymShimError("a contiguous tensor", f"strides {torch_tensor.stride()}", "Call .contiguous().")
    if torch_tensor.device.type != "cpu":
        raise IsaacGymShimError("a tensor on the CPU", f"{torch_tensor.device}", "Use --sim_device cpu with the shim.")
    return Tensor(torch_tensor)


def __getattr__(name: str) -> NoReturn:
    refuse_name("gymtorch", name)
