"""What is installed: the listed packages are the folders, and the built wheel works without the checkout."""

import ast
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STOREYS = ("cli", "sim", "deploy", "offline_data", "policy", "robot_configs")
SOURCES = ("setup.py", "README.md", "go1.py", *STOREYS)


def setup_constants() -> dict[str, list[str]]:
    """The lists that setup.py assigns by name, read without running it."""
    constants = {}
    for node in ast.parse((ROOT / "setup.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.List):
            constants[node.targets[0].id] = ast.literal_eval(node.value)
    return constants


def canonical(requirement: str) -> str:
    """`PyYAML>=6` -> `pyyaml`."""
    return requirement.split(";")[0].split("=")[0].split(">")[0].split("<")[0].strip().lower().replace("_", "-")


def test_every_folder_of_code_is_listed_and_no_other() -> None:
    folders = {path.parent for storey in STOREYS for path in (ROOT / storey).rglob("*.py")}
    assert setup_constants()["PACKAGES"] == sorted(".".join(path.relative_to(ROOT).parts) for path in folders)


def test_the_robot_installs_four_packages() -> None:
    assert setup_constants()["ROBOT"] == ["numpy", "onnxruntime", "pyyaml", "mcap"]


def test_every_requirement_is_pinned_exactly() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all("==" in pin for pin in pins)
    constants = setup_constants()
    groups = ("ROBOT", "GO1SDK", "TRAIN", "SWEEP", "WARP", "DEVELOP")
    required = {canonical(name) for group in groups for name in constants[group]}
    assert required - {canonical(pin) for pin in pins} == set()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the wheel, built from a copy of the sources, is installed into, dependencies left out."""
    copy, wheels, target = (tmp_path_factory.mktemp(name) for name in ("copy", "wheels", "target"))
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, copy], check=True)
    (wheel,) = wheels.glob("*.whl")
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.startswith(("tests/", "benchmarks/"))]
    subprocess.run([*pip, "install", "--no-deps", "--target", target, wheel], check=True)
    return target


def run_installed(installed: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """`go1` from the installed files: -P and another folder keep the checkout's own modules out of sight."""
    program = (
        f"import sys; sys.path[:] = [{str(installed)!r}] + [p for p in sys.path if p != {str(ROOT)!r}];"
        "import go1; print('from', go1.__file__, file=sys.stderr); sys.exit(go1.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-P", "-c", program, *words]
    return subprocess.run(command, cwd=installed.parent, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_wheel_has_the_command_line(installed: Path) -> None:
    result = run_installed(installed, "--help")
    assert result.returncode == 0, result.stderr
    assert "finetune" in result.stdout
    assert f"from {installed}" in result.stderr
    assert (installed / "bin" / "go1").is_file()


@pytest.mark.slow
def test_the_wheel_has_the_robot_and_the_twins_worlds(installed: Path) -> None:
    shipped = {
        path.relative_to(ROOT) for pattern in ("*.yaml", "*.xml") for path in (ROOT / "robot_configs").rglob(pattern)
    }
    shipped |= {path.relative_to(ROOT) for path in (ROOT / "policy").rglob("*.go1policy")}
    assert len(shipped) >= 8
    assert [path for path in sorted(shipped) if not (installed / path).is_file()] == []
