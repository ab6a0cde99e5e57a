"""The chain of a bundle: each policy that it came from, with what made it, as far as the files are at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Optional, Tuple

from policy.bundle import SUFFIX, Bundle, BundleError, read_bundle


@dataclass(frozen=True, eq=False)
class Ancestor:
    """One policy of a chain.

    Attributes:
        sha256: of its bundle.
        generation: 0 for the policy that was asked for, 1 for its parents.
        path, bundle: None where no file with that seal was found.
    """

    sha256: str
    generation: int
    path: Optional[Path]
    bundle: Optional[Bundle]


def ancestry(path: Path, folders: Iterable[Path] = ()) -> List[Ancestor]:
    """A bundle and all that it came from, each before its parents; who is met twice stands where they are met first.

    Args:
        folders: where to look for parents, besides the bundle's own folder: all bundles below.

    Raises:
        BundleError: the bundle can not be read. Other files that can not be read are passed over.
    """
    bundle = read_bundle(path)
    known: Dict[str, Tuple[Path, Bundle]] = {bundle.sha256: (path, bundle)}
    for file in sorted({*path.parent.glob(f"*{SUFFIX}"), *(f for top in folders for f in top.rglob(f"*{SUFFIX}"))}):
        try:
            other = read_bundle(file)
        except BundleError:
            continue
        known.setdefault(other.sha256, (file, other))
    return list(_chain(bundle.sha256, 0, known, set()))


def _chain(sha256: str, generation: int, known: Dict[str, Tuple[Path, Bundle]], met: "set[str]") -> Iterator[Ancestor]:
    if sha256 in met:
        return
    met.add(sha256)
    path, bundle = known.get(sha256, (None, None))
    yield Ancestor(sha256, generation, path, bundle)
    for parent in bundle.lineage.parents if bundle is not None else ():
        yield from _chain(parent, generation + 1, known, met)
