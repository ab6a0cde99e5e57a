"""Film a bundle on the twin, through the wire, without a display: standing up, walking, and whatever comes of it.

The file's ending chooses the format: `.gif` (Pillow), `.mp4` (the `ffmpeg` program). Drawing is by the CPU (Mesa's
OSMesa) or the GPU (EGL); either is a system library and neither is needed for anything else in the project.
"""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Protocol, Union

import mujoco
import numpy as np
from PIL import Image

from deploy.onboard.clock import VirtualClock
from deploy.onboard.link import PacketLink
from deploy.onboard.pilot import PilotStep
from deploy.onboard.runner import RunSettings, run_session
from deploy.onboard.schedule import SessionSettings
from deploy.onboard.summary import EpisodeSummary, RunSummary
from policy.bundle import read_bundle
from robot_configs.errors import Go1Error
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.twin.body import TwinBody
from sim.twin.transport import TwinTransport

FRAME_HZ = 25.0  # a GIF counts in hundredths of a second: 4 of them; 20 ticks of the link
WIDTH_PX, HEIGHT_PX = 480, 270
CAMERA = "chase"  # in go1.xml; follows the trunk
_FIELD_OF_VIEW_DEG = 28.0  # the robot fills half the picture
_SHADOW_MAP_PX = 2048  # half of MuJoCo's own: the CPU draws it anew for each frame
_HIDDEN_GROUP = 3  # geoms that only carry mass
_GIF_COLOURS = 64
_AFTER_FAULT_S = 1.0
_DRAWING_LIBRARIES = {"osmesa": "OSMesa", "egl": "EGL"}


class PlayError(Go1Error):
    """A film that cannot be made here, or not as asked."""


@dataclass(frozen=True)
class FilmFormat:
    """How a film is taken.

    Attributes:
        frame_hz: divides the link's rate, and a hundred, for GIFs.
        walk_only: nothing of standing up before the walk and of what comes after it, but for a fall.
    """

    width_px: int
    height_px: int
    frame_hz: float
    walk_only: bool


FULL = FilmFormat(WIDTH_PX, HEIGHT_PX, FRAME_HZ, walk_only=False)
SMALL = FilmFormat(288, 162, 12.5, walk_only=True)
"""For a page: a fifth of the pixels a second."""


def play_bundle(
    bundle: Union[str, Path],
    condition: Union[str, Path],
    commands: str,
    duration_s: float,
    out: Path,
    seed: int = 1,
    film: FilmFormat = FULL,
) -> RunSummary:
    """Run a bundle's mean action on the twin and write the film; a robot that falls is filmed for a second more.

    Args:
        condition: name or YAML file of a twin condition.
        commands: a command specification of the runner.
        duration_s: walking [s]; standing up and lying down come on top.
        out: `.gif` or `.mp4`.
        seed: of the twin's noise and terrain.

    Raises:
        PlayError: an ending that is no format, or nothing to draw or to encode with; before anything is simulated.
    """
    write = film_writer(out)
    frames, summary = film_bundle(bundle, condition, commands, duration_s, seed, film)
    write(out, frames, film.frame_hz)
    return summary


def film_bundle(
    bundle: Union[str, Path],
    condition: Union[str, Path],
    commands: str,
    duration_s: float,
    seed: int,
    film: FilmFormat,
) -> tuple[list[np.ndarray], RunSummary]:
    """The frames of `play_bundle`, (height, width, 3) uint8 each, and the session's summary.

    Raises:
        PlayError: nothing to draw with.
    """
    robot, sealed = load_robot(), read_bundle(bundle)
    body = TwinBody(load_condition(condition), seed)
    camera = Camera(body.model, body.data, film)
    try:
        transport = FilmedTransport(body, camera, round(robot.link_hz / film.frame_hz))
        transport.filming = not film.walk_only
        session = SessionSettings(episode_s=duration_s, episodes=1)
        settings = RunSettings(commands, session, exploration=0.0, seed=seed, lockstep=True)
        observers = [_WhileWalking(transport)] if film.walk_only else []
        summary = run_session(sealed, robot, PacketLink(transport), VirtualClock(), settings, observers=observers)
        if summary.faults:
            transport.film(round(_AFTER_FAULT_S * robot.link_hz))
    finally:
        camera.close()
    return transport.frames, summary


class FilmedTransport(TwinTransport):
    """The way to the twin, with a camera beside it: every `ticks_per_frame` ticks a frame (height, width, 3) uint8."""

    def __init__(self, body: TwinBody, camera: Camera, ticks_per_frame: int) -> None:
        super().__init__(body)
        self.frames: list[np.ndarray] = []
        self.filming = True
        self._camera, self._ticks_per_frame, self._ticks = camera, ticks_per_frame, 0

    def receive(self, timeout_s: float) -> bytes:
        """Advance one tick, and film it when a frame is due."""
        packet = super().receive(timeout_s)
        if self.filming and self._ticks % self._ticks_per_frame == 0:
            self.frames.append(self._camera.shoot())
        self._ticks += 1
        return packet

    def film(self, ticks: int) -> None:
        """Go on filming while nobody commands."""
        self.filming = True
        for _ in range(ticks):
            self.receive(0.0)


class _WhileWalking:
    """Films from the first step of an episode to its end."""

    def __init__(self, transport: FilmedTransport) -> None:
        self._transport = transport

    def on_policy_step(self, step: PilotStep) -> None:
        self._transport.filming = True

    def on_episode_end(self, summary: EpisodeSummary) -> None:
        self._transport.filming = False


class Camera:
    """Draws the scene off screen, as go1.xml's chase camera sees it.

    `mujoco.Renderer` is not used because it takes its drawing library from MUJOCO_GL when mujoco is first imported,
    which is long past; here it is chosen when a camera is made.

    Raises:
        PlayError: there is nothing to draw with.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, film: FilmFormat) -> None:
        self._model, self._data, self._film = model, data, film
        model.cam_fovy[model.camera(CAMERA).id] = _FIELD_OF_VIEW_DEG
        model.vis.quality.shadowsize = _SHADOW_MAP_PX
        self._gl = open_gl(film.width_px, film.height_px)
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene = mujoco.MjvScene(model, maxgeom=1000)
        self._option = mujoco.MjvOption()
        self._option.geomgroup[_HIDDEN_GROUP] = 0
        self._option.sitegroup[:] = 0  # the touch sensors' sites would hide the feet
        self._view = mujoco.MjvCamera()
        self._view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._view.fixedcamid = model.camera(CAMERA).id

    def shoot(self) -> np.ndarray:
        """A frame (height, width, 3) uint8 of the state as it is."""
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(
            self._model, self._data, self._option, mujoco.MjvPerturb(), self._view, everything, self._scene
        )
        self._take_the_sun_along()
        width, height = self._film.width_px, self._film.height_px
        area = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(area, self._scene, self._context)
        pixels = np.empty((height, width, 3), dtype=np.uint8)
        mujoco.mjr_readPixels(pixels, None, area, self._context)
        return pixels[::-1].copy()  # OpenGL counts rows from below

    def _take_the_sun_along(self) -> None:
        """A light casts shadows only around its own place: left at the origin, it would soon cast none of the robot."""
        trunk = self._data.body("trunk").xpos
        for light in self._scene.lights[: self._scene.nlight]:
            if not light.headlight:
                light.pos[:2] = trunk[:2]

    def close(self) -> None:
        """Give the drawing context back."""
        self._context.free()
        self._gl.free()


def open_gl(width_px: int, height_px: int) -> Any:
    """A current off-screen OpenGL context.

    Raises:
        PlayError: there is none to be had.
    """
    name = choose_drawing_library(os.environ, ctypes.util.find_library)
    try:
        if name == "osmesa":
            from mujoco.osmesa import GLContext
        else:
            from mujoco.egl import GLContext
        context = GLContext(width_px, height_px)
        context.make_current()
    except (ImportError, AttributeError, RuntimeError) as error:  # what PyOpenGL raises depends on what is missing
        raise _nothing_to_draw_with(f"{name}, which does not work: {error}") from None
    return context


def choose_drawing_library(environment: Mapping[str, str], find_library: Callable[[str], Optional[str]]) -> str:
    """`osmesa` or `egl`: what MUJOCO_GL asks for, else the first that is installed.

    Only one can be tried: PyOpenGL binds itself to the first one it meets for as long as the process lives.
    """
    asked = environment.get("MUJOCO_GL", "").lower()
    if asked in _DRAWING_LIBRARIES:
        return asked
    for name, library in _DRAWING_LIBRARIES.items():
        if find_library(library) is not None:
            return name
    raise _nothing_to_draw_with("neither libOSMesa nor libEGL")


def _nothing_to_draw_with(found: str) -> PlayError:
    return PlayError(
        "a library that draws without a display",
        found,
        "Install one: `apt-get install libosmesa6` draws on any machine; MUJOCO_GL=egl uses a GPU's driver.",
    )


class FilmWriter(Protocol):
    """Writes frames (height, width, 3) uint8 into a file."""

    def __call__(self, out: Path, frames: Sequence[np.ndarray], frame_hz: float = FRAME_HZ, /) -> None: ...


def film_writer(out: Path) -> FilmWriter:
    """The writer for a file's ending.

    Raises:
        PlayError: an ending that is no format, or one that nothing here can write.
    """
    ending = out.suffix.lower()
    if ending == ".gif":
        return write_gif
    if ending != ".mp4":
        raise PlayError("a file that ends in .gif or .mp4", repr(out.name), "Change the ending of --out.")
    if shutil.which("ffmpeg") is None:
        raise PlayError(
            "the program ffmpeg, which writes .mp4", "none on the PATH", "Write a .gif, or `apt-get install ffmpeg`."
        )
    return write_mp4


def write_gif(out: Path, frames: Sequence[np.ndarray], frame_hz: float = FRAME_HZ) -> None:
    """One palette for the whole film, taken from its middle: smaller, and nothing flickers."""
    palette = Image.fromarray(frames[len(frames) // 2]).quantize(_GIF_COLOURS)
    images = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    out.parent.mkdir(parents=True, exist_ok=True)
    images[0].save(out, save_all=True, append_images=images[1:], duration=round(1000 / frame_hz), loop=0)


def write_mp4(out: Path, frames: Sequence[np.ndarray], frame_hz: float = FRAME_HZ) -> None:
    """Hand the raw frames to ffmpeg.

    Raises:
        PlayError: ffmpeg could not.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    height, width, _ = frames[0].shape
    source = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {frame_hz:g} -i -"
    command = ["ffmpeg", "-y", "-loglevel", "error", *source.split(), "-pix_fmt", "yuv420p", str(out)]
    result = subprocess.run(command, input=np.stack(frames).tobytes(), capture_output=True, check=False)
    if result.returncode != 0:
        raise PlayError("ffmpeg to encode the film", result.stderr.decode(errors="replace").strip(), "Write a .gif.")
