"""What every test of the store starts from: three sealed bundles, of which the first is confirmed."""

from pathlib import Path

import pytest

from deploy.onboard.store import BundleStore
from policy.contract import PolicyContract
from robot_configs.robot import RobotModel
from tests.deploy.onboard.store.bench import Sealed, remember, seal_three, store_with


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory, contract: PolicyContract, robot: RobotModel) -> list[Sealed]:
    return seal_three(tmp_path_factory.mktemp("bundles"), contract, robot)


@pytest.fixture
def store(tmp_path: Path, sealed: list[Sealed]) -> BundleStore:
    return store_with(sealed[0], tmp_path)


@pytest.fixture
def remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    remember(monkeypatch)
