"""An unpickler for torch's archives that can build tensors and containers, and can call nothing else.

A pickle names functions to call. Here a name is looked up in a list of what torch's own files need (read off files
written by torch 2.13); any other one is an error that says the name. Before that the opcodes themselves are read: some
of those that torch does not write let eleven bytes ask for gigabytes. Tensors become NumPy arrays, copied out of the
archive's records after their sizes and strides were found to lie inside them.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections import OrderedDict
from types import MappingProxyType
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence

import numpy as np

from policy.importers.import_error import PolicyImportError

MAX_ELEMENTS = 2**26
"""Of one tensor: a stride of zero lets a tensor be far larger than its bytes."""

MAX_RANK = 8
MAX_MEMO = 2**20
"""Objects that a pickle refers back to; `pickle` allocates for the largest index, whether or not the rest are used."""

_OPCODES = frozenset(
    """PROTO STOP GLOBAL REDUCE BUILD NEWOBJ BINPERSID BINPUT LONG_BINPUT BINGET LONG_BINGET MARK
    NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE SHORT_BINSTRING
    EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS""".split()
)
"""What torch writes: protocol 2, without its ways to make classes or to take bytes of a length it only claims."""

_SCRIPT_PREFIX = "__torch__."
_STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ByteStorage": "|u1",
    "BoolStorage": "|b1",
}


class ScriptObject:
    """An object of a TorchScript archive: the name of its class and its attributes, without any behaviour."""

    class_name = ""
    """Dotted, as in `torch.nn.modules.linear.Linear`; without what TorchScript adds to tell copies apart."""

    attributes: Mapping[str, Any] = MappingProxyType({})

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
            raise pickle.UnpicklingError(f"attributes of {self.class_name} that are no dictionary")
        self.attributes = state


class ArchiveUnpickler(pickle.Unpickler):
    """Loads `data.pkl` of an archive whose records were read already."""

    def __init__(self, name: str, records: Dict[str, bytes], scripts: bool) -> None:
        _check_opcodes(records["data.pkl"])
        super().__init__(io.BytesIO(records["data.pkl"]))
        self._name, self._records, self._scripts = name, records, scripts

    def find_class(self, module: str, name: str) -> Any:
        """What a name in the pickle stands for here.

        Raises:
            PolicyImportError: a name that torch's own files do not need.
        """
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter
        if module == "torch" and name in _STORAGES:
            return _StorageType(_STORAGES[name])
        if self._scripts and module.startswith(_SCRIPT_PREFIX):
            parts = [*module[len(_SCRIPT_PREFIX) :].split("."), name]
            plain = ".".join(part for part in parts if not part.startswith("___torch_mangle_"))
            return type("ScriptObject", (ScriptObject,), {"class_name": plain})
        raise PolicyImportError(
            f"tensors, numbers and containers alone in {self._name}",
            f"the name {module}.{name}, which a pickle may only want in order to call it",
            "If you trust the file, load it where it comes from and save only the state_dict of the policy.",
        )

    def persistent_load(self, identity: Any) -> Any:
        """The numbers of a storage; torch refers to them by ("storage", type, key, device, count)."""
        if not isinstance(identity, tuple) or len(identity) != 5 or identity[0] != "storage":
            raise pickle.UnpicklingError(f"a reference that is no storage: {type(identity).__name__}")
        _, kind, key, _, count = identity
        content = self._records.get(f"data/{key}") if isinstance(key, str) else None
        if not isinstance(kind, _StorageType) or type(count) is not int or content is None:
            raise pickle.UnpicklingError(f"a storage without a record: {key!r:.40}")
        dtype = np.dtype(kind.dtype)
        if len(content) != count * dtype.itemsize:
            raise PolicyImportError(
                f"{count * dtype.itemsize} bytes of the tensor data/{key} in {self._name}",
                f"{len(content)}",
                "Copy or save the file again.",
            )
        return _Storage(np.frombuffer(content, dtype=dtype))


def _check_opcodes(content: bytes) -> None:
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name not in _OPCODES:
            raise pickle.UnpicklingError(f"the opcode {opcode.name}, which torch does not write")
        if opcode.name in ("BINPUT", "LONG_BINPUT") and not 0 <= int(argument or 0) < MAX_MEMO:
            raise pickle.UnpicklingError(f"the object number {argument}")


class _StorageType(NamedTuple):
    dtype: str


class _Storage(NamedTuple):
    numbers: np.ndarray


def _tensor(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, metadata: Optional[Any] = None
) -> np.ndarray:
    """torch._utils._rebuild_tensor_v2: a view of a storage, here copied out of it."""
    if not isinstance(storage, _Storage) or not _are_sizes([offset]) or not _are_sizes(size) or not _are_sizes(stride):
        raise pickle.UnpicklingError("a tensor that is not described by a storage and whole numbers")
    if len(size) != len(stride) or len(size) > MAX_RANK or math.prod(size) > MAX_ELEMENTS:
        raise pickle.UnpicklingError(f"a tensor of size {tuple(size)[:MAX_RANK]}")
    end = offset + sum((count - 1) * step for count, step in zip(size, stride, strict=True)) + 1
    if math.prod(size) == 0:
        return np.zeros(tuple(size), dtype=storage.numbers.dtype)
    if end > len(storage.numbers):
        raise pickle.UnpicklingError(f"a tensor that ends {end - len(storage.numbers)} numbers behind its storage")
    strides = [step * storage.numbers.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage.numbers[offset:], tuple(size), strides).copy()


def _parameter(data: Any, requires_grad: Any, hooks: Any) -> Any:
    """torch._utils._rebuild_parameter: whether it learns is of no interest here."""
    return data


def _are_sizes(numbers: Sequence[Any]) -> bool:
    return isinstance(numbers, (tuple, list)) and all(type(number) is int and number >= 0 for number in numbers)
