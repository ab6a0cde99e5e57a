"""Two policies or more in one film, side by side: the same condition, commands and seed for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Union

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sim.play import FULL, FilmFormat, PlayError, film_bundle, film_writer

_SHARE = 0.75
"""Width and height of each picture, of those of a film of its own: two then fit a page."""
_LABEL_PX = 16
_INK, _PAPER = (40, 40, 40), (255, 255, 255)


def play_side_by_side(
    bundles: Mapping[str, Path],
    condition: Union[str, Path],
    commands: str,
    duration_s: float,
    out: Path,
    seed: int = 1,
    film: FilmFormat = FULL,
) -> None:
    """Film each policy and put the films side by side, each under its name, the first on the left.

    Args: those of `play_bundle`; bundles by the name that is written over them. Who fell lies still until the longest
        film ends.

    Raises:
        PlayError: fewer than two policies; see `play_bundle`.
    """
    if len(bundles) < 2:
        raise PlayError("two policies or more of different names", ", ".join(bundles) or "none", "Name another one.")
    write = film_writer(out)
    films = [film_bundle(bundle, condition, commands, duration_s, seed, film)[0] for bundle in bundles.values()]
    write(out, joined(films, list(bundles)), film.frame_hz)


def joined(films: Sequence[Sequence[np.ndarray]], names: Sequence[str]) -> list[np.ndarray]:
    """Frames (height, sum of widths, 3) uint8 of films that begin together; a shorter one stays at its last frame."""
    length = max(len(frames) for frames in films)
    return [
        np.concatenate(
            [_labelled(frames[min(index, len(frames) - 1)], name) for frames, name in zip(films, names, strict=True)],
            axis=1,
        )
        for index in range(length)
    ]


def _labelled(frame: np.ndarray, name: str) -> np.ndarray:
    """The frame (height, width, 3), made smaller, its name in a corner; width and height are even, as video wants."""
    height, width = (2 * round(_SHARE * size / 2) for size in frame.shape[:2])
    picture = Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(_LABEL_PX)
    left, top, right, bottom = draw.textbbox((6, 4), name, font=font)
    draw.rectangle((left - 4, top - 3, right + 4, bottom + 3), fill=_PAPER)
    draw.text((6, 4), name, fill=_INK, font=font)
    return np.asarray(picture)
