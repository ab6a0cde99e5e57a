"""Fields that keep plain numbers, as those of Isaac Gym's own parameter objects do."""

from __future__ import annotations

from numbers import Integral, Real

from sim.isaacgym_shim.errors import IsaacGymShimError

KINDS: dict[str, tuple[type, type, str]] = {
    "float": (Real, float, "a number"),
    "int": (Integral, int, "a whole number"),
    "bool": (Integral, bool, "True or False"),
}


class NumericFields:
    """Base of a dataclass with slots: a field annotated float, int or bool keeps a number of that type.

    Programs assign elements of tensors and arrays, such as a friction of shape (1, 1). Kept as it came, a tensor would
    alias its storage, and its shape would surface far from where it was set.
    """

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        kind = type(self).__annotations__.get(name)
        if kind in KINDS:
            value = self._number(name, value, *KINDS[kind])
        object.__setattr__(self, name, value)

    def _number(self, name: str, value: object, wanted: type, kept: type, words: str) -> object:
        if type(value) is kept:
            return value
        number = value
        if hasattr(value, "item"):
            try:
                number = value.item()
            except (ValueError, RuntimeError):  # NumPy's and torch's word for more than one element
                number = None
        if not isinstance(number, wanted):
            place = f"{words} for {type(self).__name__}.{name}"
            raise IsaacGymShimError(place, repr(value), "Assign one number, or one element of a tensor or array.")
        return kept(number)
