"""Files that torch wrote, read without torch: the zip archive with its pickles and its tensors, nothing executed.

`torch.save` (since 1.6) and TorchScript write the same container: `<name>/data.pkl` says what there is,
`<name>/data/<key>` holds the numbers. A pickle is a program; a TorchScript archive holds source code besides. So the
pickle is run by an unpickler that knows half a dozen harmless names and refuses every other one, and the source code is
not opened at all: what an archive's objects are is read from the pickle, what they compute is known from the preset.
"""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any, Dict, NamedTuple, NoReturn

import numpy as np

from policy.importers.import_error import PolicyImportError
from policy.importers.restricted_unpickler import ArchiveUnpickler, ScriptObject

MAX_FILE_BYTES = 2**28
"""Of a file, and of what it unpacks to: a checkpoint with its optimizer's moments is a tenth of it."""

MAX_RECORDS = 4096
_ZIP_START = b"PK\x03\x04"
_PICKLE_START = b"\x80"
_CODE = "code/"
_UNPICKLING_ERRORS = (
    # What `pickle` documents and what malformed streams were seen to raise.
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    OverflowError,
    TypeError,
    ValueError,
)


class TorchFile(NamedTuple):
    """What a file holds: tensors as NumPy arrays inside plain containers, or the objects of a TorchScript module."""

    path: Path
    content: Any


def read_checkpoint(path: Path) -> TorchFile:
    """What `torch.save` was given, made of dictionaries, lists, numbers, texts and arrays.

    Raises:
        PolicyImportError: no such archive, a truncated one, TorchScript, code in the pickle, absurd sizes.
    """
    records = _read_records(path)
    if _is_script(records):
        raise PolicyImportError(
            f"a checkpoint written by torch.save in {path.name}",
            "a TorchScript archive",
            "Give the checkpoint (.pt), or the preset whose files are TorchScript.",
        )
    content = _unpickle(path, records, scripts=False)
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise PolicyImportError(
            f"a dictionary of named entries in {path.name}",
            f"{type(content).__name__}",
            "Save the state_dict of the policy.",
        )
    return TorchFile(path, content)


def read_script(path: Path) -> TorchFile:
    """The root object of a TorchScript archive.

    Raises:
        PolicyImportError: no such archive, a truncated one, a checkpoint, objects that are no modules, absurd sizes.
    """
    records = _read_records(path)
    if not _is_script(records):
        raise PolicyImportError(
            f"a TorchScript archive in {path.name}",
            "a checkpoint written by torch.save",
            "Give the .jit files, or the preset whose files are checkpoints.",
        )
    content = _unpickle(path, records, scripts=True)
    if not isinstance(content, ScriptObject):
        raise PolicyImportError(
            f"a module in {path.name}", f"{type(content).__name__}", "Export the network by torch.jit.script."
        )
    return TorchFile(path, content)


def _is_script(records: Dict[str, bytes]) -> bool:
    return "constants.pkl" in records or any(name.startswith(_CODE) for name in records)


def _read_records(path: Path) -> Dict[str, bytes]:
    """Every record by its name below the archive's one folder, checked against its CRC."""
    if path.stat().st_size > MAX_FILE_BYTES:
        _refuse_size(path, path.stat().st_size)
    content = path.read_bytes()
    if not content.startswith(_ZIP_START):
        _refuse_start(path, content)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            unpacked = sum(entry.file_size for entry in entries)
            if unpacked > MAX_FILE_BYTES or len(entries) > MAX_RECORDS:
                _refuse_size(path, unpacked)
            names = [entry.filename.partition("/")[2] for entry in entries]
            if len(set(names)) != len(names) or len({entry.filename.partition("/")[0] for entry in entries}) != 1:
                raise PolicyImportError(
                    f"one folder with every record once in {path.name}", "another archive", "Give a file of torch."
                )
            records = {}
            for name, entry in zip(names, entries, strict=True):
                # Source code stays unread; its name alone tells that this is TorchScript.
                records[name] = b"" if name.startswith(_CODE) else archive.read(entry)
    # zipfile says by a RuntimeError that an entry is encrypted, or compressed in a way that it does not know.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise PolicyImportError(
            f"a whole archive of torch in {path.name}", f"a truncated or damaged one ({error})", "Copy the file again."
        ) from None
    if "data.pkl" not in records:
        raise PolicyImportError(f"data.pkl in {path.name}", "an archive without it", "Give a file that torch wrote.")
    if records.get("byteorder", b"little") != b"little":
        raise PolicyImportError(
            f"little-endian numbers in {path.name}",
            f"{records['byteorder']!r:.40}",
            "Save it on an ordinary computer.",
        )
    return records


def _unpickle(path: Path, records: Dict[str, bytes], scripts: bool) -> Any:
    try:
        return ArchiveUnpickler(path.name, records, scripts).load()
    except _UNPICKLING_ERRORS as error:
        raise PolicyImportError(
            f"a readable data.pkl in {path.name}", f"a damaged one ({error!s:.120})", "Copy or save the file again."
        ) from None


def _refuse_size(path: Path, size: int) -> NoReturn:
    raise PolicyImportError(
        f"at most {MAX_FILE_BYTES} bytes and {MAX_RECORDS} records in {path.name}, unpacked as well",
        f"{size} bytes",
        "Save the policy's own state_dict alone.",
    )


def _refuse_start(path: Path, content: bytes) -> NoReturn:
    found = f"a file that starts with {content[:4]!r}"
    if content.startswith(_PICKLE_START):
        found = "a bare pickle (torch before 1.6, or another program), which is a program to run, not data"
    raise PolicyImportError(
        f"a zip archive of torch in {path.name}",
        found if content else "an empty file",
        "Load it where it comes from and save its state_dict again by torch.save.",
    )


def require_finite(array: np.ndarray, what: str) -> None:
    """Refuse weights that are not float32 numbers.

    Raises:
        PolicyImportError
    """
    if array.dtype != np.float32:
        raise PolicyImportError(f"float32 numbers in {what}", f"{array.dtype}", "Save the policy with .float().")
    if not np.all(np.isfinite(array)):
        raise PolicyImportError(f"finite numbers in {what}", "a NaN or an infinity", "That training run had diverged.")
