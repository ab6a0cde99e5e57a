"""The trainer state survives kills, refuses damage and carries no code."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from policy.trainer_state import (
    TrainerState,
    TrainerStateError,
    load_trainer_state,
    pack_adam,
    pack_module,
    require_match,
    save_trainer_state,
    unpack_adam,
    unpack_module,
)

torch.set_num_threads(1)


def state(step: int = 7) -> TrainerState:
    return TrainerState(
        {"weight": torch.arange(6.0).view(2, 3)}, {"step": step, "settings": {"clip": 0.2, "dims": [8, 8]}}
    )


def test_a_state_reads_back_as_written(tmp_path: Path):
    save_trainer_state(tmp_path / "s", state())
    loaded = load_trainer_state(tmp_path / "s")
    assert torch.equal(loaded.tensors["weight"], torch.arange(6.0).view(2, 3))
    assert loaded.record == state().record


def test_a_kill_while_writing_leaves_the_last_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save_trainer_state(tmp_path / "s", state(1))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("policy.whole_files.os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        save_trainer_state(tmp_path / "s", state(2))
    assert load_trainer_state(tmp_path / "s").record["step"] == 1


def test_a_truncated_file_is_refused(tmp_path: Path):
    save_trainer_state(tmp_path / "s", state())
    whole = (tmp_path / "s").read_bytes()
    for length in (0, 5, len(whole) // 2, len(whole) - 1):
        (tmp_path / "s").write_bytes(whole[:length])
        with pytest.raises(TrainerStateError, match="safetensors"):
            load_trainer_state(tmp_path / "s")


def test_equal_states_are_equal_files(tmp_path: Path):
    """Eight times: an order of chance would come out the same once in 128 tries."""
    for index in range(8):
        save_trainer_state(tmp_path / str(index), state())
    assert len({(tmp_path / str(index)).read_bytes() for index in range(8)}) == 1


def test_a_record_whose_keys_are_numbers_reads_back(tmp_path: Path):
    """JSON turns them into text, and sorts them otherwise."""
    save_trainer_state(tmp_path / "s", TrainerState({}, {"by_round": {2: "b", 10: "a"}, "score": -float("inf")}))
    record = load_trainer_state(tmp_path / "s").record
    assert record == {"by_round": {"2": "b", "10": "a"}, "score": -float("inf")}


@pytest.mark.parametrize("from_the_end", [1, 24])
def test_a_changed_byte_is_refused(tmp_path: Path, from_the_end: int):
    """In the tensor's last and first number; safetensors itself does not look at them."""
    save_trainer_state(tmp_path / "s", state())
    content = bytearray((tmp_path / "s").read_bytes())
    content[-from_the_end] ^= 1
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(TrainerStateError, match="damaged"):
        load_trainer_state(tmp_path / "s")


def test_a_changed_digit_of_the_record_is_refused(tmp_path: Path):
    save_trainer_state(tmp_path / "s", state(7))
    content = (tmp_path / "s").read_bytes()
    step = b'\\"step\\": 7'
    assert content.count(step) == 1
    (tmp_path / "s").write_bytes(content.replace(step, step[:-1] + b"8"))
    with pytest.raises(TrainerStateError, match="damaged"):
        load_trainer_state(tmp_path / "s")


def test_every_kind_of_tensor_that_a_run_holds_comes_back(tmp_path: Path):
    """A scalar, none, yes and no, whole numbers, a transposed one, a generator's bytes."""
    kinds = {
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "empty": torch.zeros(0, 3),
        "bools": torch.tensor([True, False]),
        "integers": torch.arange(4),
        "transposed": torch.arange(6.0).view(2, 3).T,
        "generator": torch.Generator().manual_seed(1).get_state(),
    }
    save_trainer_state(tmp_path / "s", TrainerState(kinds, {}))
    loaded = load_trainer_state(tmp_path / "s").tensors
    assert loaded.keys() == kinds.keys()
    for name, tensor in kinds.items():
        assert torch.equal(loaded[name], tensor) and loaded[name].dtype == tensor.dtype, name


def test_a_pickle_is_refused_and_not_run(tmp_path: Path):
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "sprung",))  # type: ignore[return-value]

    (tmp_path / "s").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(TrainerStateError):
        load_trainer_state(tmp_path / "s")
    assert not (tmp_path / "sprung").exists()


def test_a_missing_and_a_foreign_file_are_told_apart(tmp_path: Path):
    with pytest.raises(TrainerStateError, match="absent"):
        load_trainer_state(tmp_path / "absent")
    save_file({"weight": torch.zeros(1)}, str(tmp_path / "foreign"))
    with pytest.raises(TrainerStateError, match="header"):
        load_trainer_state(tmp_path / "foreign")
    save_file({"weight": torch.zeros(1)}, str(tmp_path / "old"), {"trainer_state": json.dumps({"format_version": 0})})
    with pytest.raises(TrainerStateError, match="format version 1"):
        load_trainer_state(tmp_path / "old")


def test_what_a_run_expects_is_compared_by_value():
    require_match(state().record, {"settings": {"clip": 0.2, "dims": (8, 8)}})
    with pytest.raises(TrainerStateError, match="settings"):
        require_match(state().record, {"settings": {"clip": 0.3, "dims": (8, 8)}})


def test_module_and_adam_go_on_where_they_stopped():
    torch.manual_seed(0)
    module = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(module.parameters(), 0.1)

    def step(module: torch.nn.Linear, optimizer: torch.optim.Adam) -> None:
        optimizer.zero_grad()
        module(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()

    step(module, optimizer)
    tensors = {**pack_module("m", module), **pack_adam("a", optimizer)}
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    other = torch.nn.Linear(3, 2)
    other_optimizer = torch.optim.Adam(other.parameters(), 0.1)
    unpack_module("m", other, tensors)
    unpack_adam("a", other_optimizer, tensors)
    step(module, optimizer)
    step(other, other_optimizer)
    assert torch.equal(module.weight, other.weight)


def test_other_network_widths_are_refused():
    with pytest.raises(TrainerStateError, match="network widths"):
        unpack_module("m", torch.nn.Linear(3, 3), pack_module("m", torch.nn.Linear(3, 2)))
