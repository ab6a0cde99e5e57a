"""Archives of torch: read as torch reads them, and refused with a message of their own when they are anything else."""

import functools
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import policy.importers.torch_archive as torch_archive
from policy.importers.import_error import PolicyImportError
from policy.importers.restricted_unpickler import ScriptObject
from policy.importers.torch_archive import read_checkpoint, read_script
from tests.policy.importers.torch_files import perceptron, rezipped, save_checkpoint, save_script


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return save_checkpoint(perceptron(3, 4, 2).state_dict(), tmp_path / "policy.pt")


def assert_same(found: Any, expected: Any) -> None:
    if isinstance(expected, torch.Tensor):
        assert found.shape == tuple(expected.shape) and found.dtype == expected.detach().numpy().dtype
        np.testing.assert_array_equal(found, expected.detach().numpy())
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for name, value in expected.items():
            assert_same(found[name], value)
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for item, value in zip(found, expected, strict=True):
            assert_same(item, value)
    else:
        assert found == expected and type(found) is type(expected)


def test_it_reads_what_torch_reads(tmp_path: Path) -> None:
    shared = torch.arange(24.0).reshape(4, 6)
    network = perceptron(3, 4, 2)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    content = {
        "model": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "views": [shared, shared[1:3, ::2], shared.t(), shared[:0], torch.tensor(3.0)],
        "kinds": [torch.ones(2, dtype=kind) for kind in (torch.float64, torch.int64, torch.bool, torch.float16)],
        "iter": 7,
        "infos": None,
        "ordered": OrderedDict(a=1.5, b="text", c=(True, False)),
    }
    path = save_checkpoint(content, tmp_path / "all.pt")
    assert_same(read_checkpoint(path).content, torch.load(path, weights_only=True))


def test_it_reads_a_script_without_its_code(tmp_path: Path) -> None:
    network = perceptron(3, 4, 2)
    path = save_script(network, tmp_path / "body.jit")

    def spoil(records: dict[str, bytes]) -> None:
        for name in records:
            if name.startswith("code/"):
                records[name] = b"import os; os.abort()"

    rezipped(path, spoil)
    # Other bytes than the archive's checksums belong to: whoever unpacks the code notices.
    path.write_bytes(path.read_bytes().replace(b"os.abort()", b"os.pause()"))
    root = read_script(path).content
    assert isinstance(root, ScriptObject) and root.class_name == "torch.nn.modules.container.Sequential"
    np.testing.assert_array_equal(root.attributes["2"].attributes["bias"], network.state_dict()["2.bias"].numpy())
    assert root.attributes["1"].class_name == "torch.nn.modules.activation.ELU"


class Hostile:
    """What a pickle may hold instead of weights."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.trace),))


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "it ran"
    path = save_checkpoint({"actor_state_dict": Hostile(trace)}, tmp_path / "policy.pt")
    with pytest.raises(PolicyImportError, match=r"posix\.mkdir.*only want in order to call"):
        read_checkpoint(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "name",
    [
        b"cbuiltins\neval\n",
        b"ctorch\nload\n",
        b"ctorch._utils\n_rebuild_qtensor\n",
        b"c__torch__.a\nB\n",
        b"cos\nsystem\n",
    ],
)
def test_no_other_name_is_looked_up(checkpoint: Path, name: bytes) -> None:
    def change(records: dict[str, bytes]) -> None:
        records["data.pkl"] = b"\x80\x02" + name + b"."

    with pytest.raises(PolicyImportError, match="tensors, numbers and containers alone"):
        read_checkpoint(rezipped(checkpoint, change))


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_a_truncated_file(checkpoint: Path, share: float) -> None:
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(share * len(content))])
    with pytest.raises(PolicyImportError, match="truncated or damaged"):
        read_checkpoint(checkpoint)


def test_a_changed_byte_of_the_weights(checkpoint: Path) -> None:
    content = bytearray(checkpoint.read_bytes())
    with zipfile.ZipFile(checkpoint) as archive:
        entry = next(entry for entry in archive.infolist() if entry.filename.endswith("data/0"))
    place = content.index(archive_bytes(checkpoint, entry.filename), entry.header_offset)
    content[place] ^= 1
    checkpoint.write_bytes(bytes(content))
    with pytest.raises(PolicyImportError, match="truncated or damaged.*CRC"):
        read_checkpoint(checkpoint)


def archive_bytes(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (pickle.dumps({"std": 1.0}), "a bare pickle"),
        (b"GO1POL\x00\x01", "starts with b'GO1P'"),
    ],
)
def test_another_kind_of_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "policy.pt"
    path.write_bytes(content)
    with pytest.raises(PolicyImportError, match=message):
        read_checkpoint(path)


def test_each_reader_says_when_it_got_the_others_file(tmp_path: Path, checkpoint: Path) -> None:
    script = save_script(perceptron(3, 4, 2), tmp_path / "body.jit")
    with pytest.raises(PolicyImportError, match="a checkpoint written by torch.save in body.jit; found a TorchScript"):
        read_checkpoint(script)
    with pytest.raises(PolicyImportError, match="a TorchScript archive in policy.pt; found a checkpoint"):
        read_script(checkpoint)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda records: records.pop("data.pkl"), "data.pkl in policy.pt"),
        (lambda records: records.update(byteorder=b"big"), "little-endian"),
        (lambda records: records.pop("data/0"), "a storage without a record"),
        (lambda records: records.update({"data/0": records["data/0"] + b"0000"}), "bytes of the tensor data/0"),
        (lambda records: records.update({"data.pkl": records["data.pkl"][:-20]}), "a damaged one"),
        (lambda records: records.update({"data.pkl": b""}), "a damaged one"),
        (lambda records: records.update({"data.pkl": b"\x80\x02K\x01."}), "a dictionary of named entries"),
        (lambda records: records.update({"data.pkl": b"\x80\x02}K\x01K\x02s."}), "a dictionary of named entries"),
    ],
    ids=["no pickle", "big endian", "no record", "longer record", "cut pickle", "empty pickle", "number", "key"],
)
def test_a_damaged_archive(checkpoint: Path, change: Any, message: str) -> None:
    with pytest.raises(PolicyImportError, match=message):
        read_checkpoint(rezipped(checkpoint, change))


def tensor_pickle(offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """A dictionary of one tensor that views the 12 numbers of data/0 in a way of its own."""

    def whole(numbers: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(b"J" + number.to_bytes(4, "little", signed=True) for number in numbers) + b"t"

    reference = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x0ctQ"
    arguments = b"(" + reference + whole((offset,))[1:-1] + whole(size) + whole(stride) + b"\x89Nt"
    return b"\x80\x02}X\x01\x00\x00\x00ac" + b"torch._utils\n_rebuild_tensor_v2\n" + arguments + b"Rs."


def test_the_tensor_pickle_below_is_well_formed(checkpoint: Path) -> None:
    """Guards the refusals below against refusing for another reason."""
    expected = torch.load(checkpoint, weights_only=True)["0.weight"].numpy()
    path = rezipped(checkpoint, lambda records: records.update({"data.pkl": tensor_pickle(1, (2, 2), (3, 1))}))
    np.testing.assert_array_equal(read_checkpoint(path).content["a"], expected.reshape(-1)[[[1, 2], [4, 5]]])


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (13,), (1,)),
        (12, (1,), (1,)),
        (0, (4, 3), (4, 1)),
        (-1, (2,), (1,)),
        (0, (2,), (-1,)),
        (0, (-2,), (1,)),
        (0, (2, 2), (1,)),
        (0, (2**30, 2**30), (0, 0)),
        (0, (1,) * 9, (1,) * 9),
    ],
)
def test_a_tensor_outside_its_storage_is_refused(
    checkpoint: Path, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> None:
    path = rezipped(checkpoint, lambda records: records.update({"data.pkl": tensor_pickle(offset, size, stride)}))
    with pytest.raises(PolicyImportError, match="a damaged one"):
        read_checkpoint(path)


def test_what_unpacks_to_more_than_the_limit_is_not_unpacked(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def swell(records: dict[str, bytes]) -> None:
        records["data/9"] = bytes(10**6)

    path = rezipped(checkpoint, swell, zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(torch_archive, "MAX_FILE_BYTES", 10**5)
    assert path.stat().st_size < 10**5
    with pytest.raises(PolicyImportError, match="at most 100000 bytes"):
        read_checkpoint(path)


def test_a_folder_too_many(checkpoint: Path) -> None:
    with zipfile.ZipFile(checkpoint, "a") as archive:
        archive.writestr("other/data.pkl", b"")
    with pytest.raises(PolicyImportError, match="one folder"):
        read_checkpoint(checkpoint)


@pytest.mark.parametrize(
    ("opcodes", "message"),
    [
        (b"r\xff\xff\xff\x7f", "the object number 2147483647"),  # LONG_BINPUT: 16 bytes for each index below it
        (b"\x96\xff\xff\xff\xff\xff\x00\x00\x00", "expected 1099511627775 bytes"),  # BYTEARRAY8 of a terabyte
        (b"\x96\x00\x00\x00\x00\x00\x00\x00\x00", "the opcode BYTEARRAY8"),
        (b"Vtext\n", "the opcode UNICODE"),
        (b"\x82\x01", "the opcode EXT1"),
    ],
)
def test_opcodes_that_torch_does_not_write(checkpoint: Path, opcodes: bytes, message: str) -> None:
    """The first of them made `pickle` take all memory of a computer: found by the test below."""
    path = rezipped(checkpoint, lambda records: records.update({"data.pkl": b"\x80\x02}" + opcodes + b"."}))
    with pytest.raises(PolicyImportError, match=message):
        read_checkpoint(path)


def test_random_damage_to_the_pickle_never_ends_in_another_error(checkpoint: Path) -> None:
    original = archive_bytes(checkpoint, "policy/data.pkl")
    generator = np.random.default_rng(5)
    refused = 0
    for _ in range(200):
        damaged = bytearray(original)
        for place in generator.integers(0, len(original), 3):
            damaged[place] = generator.integers(256)
        path = rezipped(checkpoint, functools.partial(dict.update, **{"data.pkl": bytes(damaged)}))
        try:
            read_checkpoint(path)
        except PolicyImportError:
            refused += 1
    assert refused > 120
