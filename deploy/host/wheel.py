"""The project as a wheel, built from the checkout: what the robot's computer installs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from robot_configs.errors import Go1Error

CHECKOUT = Path(__file__).resolve().parents[2]
_BESIDE_THE_PACKAGES = ("setup.py", "README.md", "go1.py")
_FIRST_ZIP_DATE = "315532800"  # 1980-01-01: two builds of the same sources are the same bytes


class WheelError(Go1Error):
    """The project cannot be packed here."""


@dataclass(frozen=True)
class Wheel:
    """A built wheel: its file name and its content."""

    name: str
    content: bytes

    @property
    def release(self) -> str:
        """Names this version on the robot: the version and the beginning of the content's SHA-256."""
        return f"{self.name.split('-')[1]}-{hashlib.sha256(self.content).hexdigest()[:12]}"


def build_wheel(checkout: Path = CHECKOUT) -> Wheel:
    """Build it from a copy of the sources: what earlier builds left in the checkout must not get in.

    Raises:
        WheelError: there is no checkout, or the build failed.
    """
    if not (checkout / "setup.py").is_file():
        raise WheelError(
            "the project's sources", f"an installed copy at {checkout}", "Run this from a checkout of the project."
        )
    with TemporaryDirectory() as scratch:
        sources, wheels = Path(scratch, "sources"), Path(scratch, "wheels")
        sources.mkdir()
        for name in _BESIDE_THE_PACKAGES:
            shutil.copy(checkout / name, sources / name)
        for package in checkout.glob("*/__init__.py"):
            shutil.copytree(package.parent, sources / package.parent.name, ignore=shutil.ignore_patterns("__pycache__"))
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        result = subprocess.run(
            [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(sources)],
            env={**os.environ, "SOURCE_DATE_EPOCH": _FIRST_ZIP_DATE},
            capture_output=True,
            text=True,
            check=False,
        )
        built = sorted(wheels.glob("*.whl"))
        if result.returncode != 0 or len(built) != 1:
            said = " / ".join(result.stderr.strip().splitlines()[-3:])
            raise WheelError("pip to build a wheel", said or "no wheel", "Install pip and setuptools: make venv.")
        return Wheel(built[0].name, built[0].read_bytes())
