"""Three sealed bundles and a store for them."""

import functools
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from deploy.onboard import slot_files
from deploy.onboard import store as store_module
from deploy.onboard.store import BundleStore, active_bundle
from policy.bundle import Bundle, Lineage
from policy.contract import PolicyContract
from policy.export import export_bundle
from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from robot_configs.robot import RobotModel

SYSTEM_CALLS = ("open", "write", "fsync", "close", "replace", "unlink", "mkdir")
"""Of `os`: an installation is interrupted at each."""


class Sealed(NamedTuple):
    """A bundle and its file's bytes."""

    bundle: Bundle
    content: bytes
    path: Path


def seal_three(folder: Path, contract: PolicyContract, robot: RobotModel) -> list[Sealed]:
    """Bundles of versions 1, 2 and 3 with random weights."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    made = []
    for version in (1, 2, 3):
        graph = PolicyGraph(contract, GaussianActor(contract.observation_dim, contract.action_dim, (8,), 0.1))
        path = folder / f"{version}.go1policy"
        bundle = export_bundle(graph, path, Lineage("pretrain", (), (), "test", version, "test"), version, robot)
        made.append(Sealed(bundle, path.read_bytes(), path))
    return made


def confirm(store: BundleStore) -> None:
    """A session without fault, then a person's word."""
    with store.session() as session:
        session.faultless()
    store.confirm()


def store_with(first: Sealed, folder: Path) -> BundleStore:
    """A store in which the first bundle is confirmed."""
    store = BundleStore(folder / "store")
    store.install(first.content)
    confirm(store)
    return store


def remember(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal bytes are parsed and replayed once: hundreds of installations follow, and both have tests of their own."""
    parse = functools.lru_cache(maxsize=None)(store_module.parse_bundle)
    for module in (store_module, slot_files):
        monkeypatch.setattr(module, "parse_bundle", parse)
    monkeypatch.setattr(store_module, "verify_bundle", functools.lru_cache(maxsize=None)(store_module.verify_bundle))
    monkeypatch.setattr(store_module, "load_robot", functools.lru_cache(maxsize=None)(store_module.load_robot))


def slots_of(store: BundleStore) -> set[str]:
    return {path.name for path in (store.root / "slots").iterdir()}


def name_of(sealed: Sealed) -> str:
    return f"{sealed.bundle.sha256}.go1policy"


def assert_one_complete_bundle(store: BundleStore, allowed: list[Sealed]) -> str:
    """Name of the active bundle, which is one of these, byte by byte."""
    path = active_bundle(store.root)
    assert path.read_bytes() == {name_of(sealed): sealed.content for sealed in allowed}[path.name]
    return path.name
