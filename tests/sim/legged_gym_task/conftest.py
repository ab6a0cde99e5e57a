"""legged_gym as its scripts need it: a skeleton with its order of imports, on the shim."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from sim.engines.isaacgym_modules import import_isaacgym

SKELETON = Path(__file__).resolve().parent / "skeleton"


@pytest.fixture
def repositories(tmp_path: Path) -> Path:
    """A folder with `legged_gym_repository` and `rsl_rl_repository`: legged_gym writes its logs beside its package."""
    return Path(shutil.copytree(SKELETON, tmp_path / "skeleton"))


@pytest.fixture
def fresh_legged_gym(repositories: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`import legged_gym` finds the skeleton, of which nothing is imported yet, with this project's own rsl_rl."""
    monkeypatch.setenv("GO1_ISAACGYM_SHIM", "1")
    import_isaacgym()
    monkeypatch.syspath_prepend(repositories / "legged_gym_repository")

    def modules() -> list[str]:
        return [name for name in sys.modules if name.split(".")[0] == "legged_gym"]

    assert modules() == []
    yield
    for name in modules():
        del sys.modules[name]


@pytest.fixture
def registry(fresh_legged_gym: None) -> ModuleType:
    """legged_gym's registry with our task in it."""
    from sim.legged_gym_task.registration import register_with_legged_gym

    register_with_legged_gym()
    return sys.modules["legged_gym.utils"].task_registry


def entry(registry: ModuleType, name: str) -> SimpleNamespace:
    return SimpleNamespace(
        task_class=registry.task_classes[name], env_cfg=registry.env_cfgs[name], train_cfg=registry.train_cfgs[name]
    )


@pytest.fixture
def registered(registry) -> SimpleNamespace:
    """Our flat entry of the registry."""
    return entry(registry, "go1_velocity")


@pytest.fixture
def registered_rough(registry) -> SimpleNamespace:
    """Our entry with terrain."""
    return entry(registry, "go1_velocity_rough")
