"""An object's tensors, out and in."""

import dataclasses

import pytest
import torch

from policy.named_tensors import part_of, under
from sim.tensor_state import TensorStateError, put_tensors, tensors_of


@dataclasses.dataclass(frozen=True)
class Pair:
    left: torch.Tensor
    right: torch.Tensor
    name: str = "pair"


class Holder:
    def __init__(self, start: float) -> None:
        self.buffer = torch.full((2,), start)
        self.flag = torch.tensor([start > 1.0, True])
        self.pair = Pair(torch.tensor([start]), torch.tensor([start + 1.0]), f"from {start}")
        self.generator = torch.Generator().manual_seed(int(start))
        self.step_s = start


def test_tensors_generators_and_dataclasses_of_tensors_are_found():
    found = tensors_of(Holder(1.0))
    assert set(found) == {"buffer", "flag", "pair.left", "pair.right", "generator"}
    assert found["pair.right"].tolist() == [2.0]


def test_what_is_taken_is_a_copy():
    holder = Holder(1.0)
    found = tensors_of(holder)
    holder.buffer[0] = 9.0
    assert found["buffer"].tolist() == [1.0, 1.0]
    other = Holder(2.0)
    put_tensors(other, found)
    other.buffer[1] = 7.0
    assert found["buffer"].tolist() == [1.0, 1.0]


def test_another_object_takes_them_over_and_keeps_what_is_no_tensor():
    one, other = Holder(1.0), Holder(2.0)
    torch.rand(3, generator=one.generator)
    put_tensors(other, tensors_of(one))
    assert other.buffer.tolist() == [1.0, 1.0] and other.flag.tolist() == [False, True]
    assert other.pair.left.tolist() == [1.0] and other.pair.name == "from 2.0"
    assert other.step_s == 2.0
    assert torch.equal(torch.rand(4, generator=other.generator), torch.rand(4, generator=one.generator))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda found: found.pop("flag"), "Holder.flag"),
        (lambda found: found.update(other=torch.zeros(1)), "Holder.other"),
        (lambda found: found.update(buffer=torch.zeros(3)), "Holder.buffer"),
        (lambda found: found.update({"pair.left": torch.zeros(1).double()}), "Holder.pair.left"),
    ],
)
def test_what_does_not_fit_is_refused_by_name_and_nothing_is_changed(change, name):
    holder = Holder(1.0)
    found = tensors_of(Holder(2.0))
    change(found)
    with pytest.raises(TensorStateError) as refusal:
        put_tensors(holder, found)
    assert name in str(refusal.value)
    assert holder.buffer.tolist() == [1.0, 1.0]


def test_prefixes_come_and_go():
    tensors = {"a": torch.zeros(1), "b.c": torch.ones(1)}
    packed = {**under("task", tensors), "tasks.a": torch.ones(3)}
    assert set(packed) == {"task.a", "task.b.c", "tasks.a"}
    assert part_of(packed, "task").keys() == tensors.keys()
