"""Signatures against isaacgym-stubs, which were drawn from Isaac Gym's own binary module (Preview 4)."""

import ast
import dataclasses
import enum
import importlib.metadata
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.isaacgym_shim import gymapi
from sim.isaacgym_shim.gym import Gym

try:
    STUBS = importlib.metadata.distribution("isaacgym-stubs")
except importlib.metadata.PackageNotFoundError:
    pytest.skip("isaacgym-stubs is not installed", allow_module_level=True)


def stub_classes() -> dict[str, ast.ClassDef]:
    """The stub's classes by name; it has a method called `lambda`, which no parser takes."""
    source = Path(str(STUBS.locate_file("isaacgym-stubs/gymapi.pyi"))).read_text(encoding="utf-8")
    tree = ast.parse(source.replace("def lambda(", "def lambda_("))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


CLASSES = stub_classes()
CALLS = sorted(name for name in dir(Gym) if not name.startswith("_"))
# Those that the stub's author could not read off the binary: (*args, **kwargs).
UNREADABLE = {"get_asset_dof_properties", "get_actor_dof_properties", "from_axis_angle"}


def methods_of(stub: ast.ClassDef) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in stub.body if isinstance(node, ast.FunctionDef)}


def parameters_of(call: object) -> list[inspect.Parameter]:
    return [p for p in inspect.signature(call).parameters.values() if p.name != "self"]  # type: ignore[arg-type]


def fields_of(stub: ast.ClassDef) -> set[str]:
    return {
        node.target.id for node in stub.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def test_there_is_something_to_compare() -> None:
    assert len(CLASSES) > 50
    assert len(CALLS) > 55


@pytest.mark.parametrize("name", CALLS)
def test_a_call_has_isaac_gyms_parameters(name: str) -> None:
    """As many, as many of them optional, and the same names where the binary has names (others are arg0, arg1, ...)."""
    stub = methods_of(CLASSES["Gym"]).get(name)
    assert stub is not None, f"gym.{name} is no call of Isaac Gym"
    if name in UNREADABLE:
        assert stub.args.vararg is not None, f"gym.{name} has a signature by now: take it out of UNREADABLE"
        return
    ours = parameters_of(getattr(Gym, name))
    theirs = [argument.arg for argument in stub.args.args[1:]]
    assert len(ours) == len(theirs)
    assert sum(p.default is not p.empty for p in ours) == len(stub.args.defaults)
    for parameter, their_name in zip(ours, theirs, strict=True):
        if not their_name.startswith("arg"):
            assert parameter.name == their_name


def described() -> Iterator[str]:
    """Our parameter objects and value types; what a handle holds is nobody's business."""
    for name in sorted(set(gymapi.__all__) - {"Asset", "Env"}):
        if dataclasses.is_dataclass(getattr(gymapi, name)):
            yield name


@pytest.mark.parametrize("name", sorted(described()))
def test_a_type_has_only_isaac_gyms_fields(name: str) -> None:
    ours = {field.name for field in dataclasses.fields(getattr(gymapi, name))}
    theirs = fields_of(CLASSES[name])
    assert ours <= theirs
    if name in ("RigidShapeProperties", "PlaneParams", "HeightFieldParams", "TriangleMeshParams", "PhysXParams"):
        assert ours == theirs


@pytest.mark.parametrize("name", ["Vec3", "Quat", "Transform"])
def test_a_value_types_methods_are_isaac_gyms(name: str) -> None:
    ours = {
        key for key, value in vars(getattr(gymapi, name)).items() if callable(value) or isinstance(value, staticmethod)
    }
    public = {key for key in ours if not key.startswith("_")} - {"array"}  # ours, and said so
    assert public <= set(methods_of(CLASSES[name]))


@pytest.mark.parametrize(
    "name", ["SimType", "UpAxis", "DofDriveMode", "DofType", "ContactCollection", "IndexDomain", "CoordinateSpace"]
)
def test_an_enumeration_has_isaac_gyms_members(name: str) -> None:
    enumeration = getattr(gymapi, name)
    assert issubclass(enumeration, enum.IntEnum)
    assert set(enumeration.__members__) <= fields_of(CLASSES[name])
    for member in enumeration:
        assert getattr(gymapi, member.name) is member
