"""Films of the twin; those tests that draw need libOSMesa and are left out without it."""

from __future__ import annotations

import ctypes.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
from PIL import Image

from cli.main import main
from policy.bundle import BUNDLES
from robot_configs.twin_conditions import load_condition
from sim import play
from sim.play import (
    FRAME_HZ,
    FULL,
    HEIGHT_PX,
    SMALL,
    WIDTH_PX,
    Camera,
    FilmedTransport,
    FilmFormat,
    PlayError,
    choose_drawing_library,
    film_writer,
    open_gl,
    play_bundle,
    write_gif,
    write_mp4,
)
from sim.twin.body import TwinBody
from sim.twin.transport import TwinTransport

SHIPPED = BUNDLES / "go1_velocity.go1policy"
needs_osmesa = pytest.mark.skipif(ctypes.util.find_library("OSMesa") is None, reason="needs libOSMesa to draw")


class _BlindCamera:
    """Frames that are numbered and otherwise black; can lay the robot on its back before one of them."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, upset_before_frame: int = -1) -> None:
        self.data, self.shots, self.upset_before_frame, self.closed = data, 0, upset_before_frame, False

    def shoot(self) -> np.ndarray:
        if self.shots == self.upset_before_frame:
            self.data.qpos[3:7] = [0.0, 1.0, 0.0, 0.0]
        self.shots += 1
        return np.full((4, 6, 3), self.shots % 256, dtype=np.uint8)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[_BlindCamera]]:
    """Puts a blind camera in the real one's place; the list holds it once the film is made."""

    def install(upset_before_frame: int = -1) -> list[_BlindCamera]:
        cameras: list[_BlindCamera] = []

        def make(model: mujoco.MjModel, data: mujoco.MjData, film: FilmFormat) -> _BlindCamera:
            cameras.append(_BlindCamera(model, data, upset_before_frame))
            return cameras[-1]

        monkeypatch.setattr(play, "Camera", make)
        return cameras

    return install


def test_filming_changes_nothing_on_the_wire_and_takes_every_nth_tick() -> None:
    bodies = [TwinBody(load_condition("nominal"), seed=3) for _ in range(2)]
    camera: Any = _BlindCamera(bodies[0].model, bodies[0].data)
    filmed, plain = FilmedTransport(bodies[0], camera, ticks_per_frame=20), TwinTransport(bodies[1])
    for _ in range(41):
        assert filmed.receive(0.0) == plain.receive(0.0)
    assert [int(frame[0, 0, 0]) for frame in filmed.frames] == [1, 2, 3]  # ticks 0, 20 and 40


def test_a_film_runs_at_the_speed_of_the_walk(tmp_path: Path, blind: Callable[..., list[_BlindCamera]]) -> None:
    cameras = blind()
    summary = play_bundle(SHIPPED, "nominal", "vx=0,vy=0,yaw=0", 0.4, tmp_path / "deep" / "walk.gif")
    assert summary.faults == ()
    assert summary.steps == 20
    with Image.open(tmp_path / "deep" / "walk.gif") as film:
        seconds = film.n_frames * film.info["duration"] / 1000  # type: ignore[attr-defined]
    assert seconds == pytest.approx(summary.clock_s, abs=2.0 / FRAME_HZ)
    assert cameras[0].closed


def test_a_fall_is_filmed_for_a_second_more(tmp_path: Path, blind: Callable[..., list[_BlindCamera]]) -> None:
    cameras = blind(upset_before_frame=10)
    summary = play_bundle(SHIPPED, "nominal", "vx=0,vy=0,yaw=0", 5.0, tmp_path / "fall.gif")
    assert summary.faults
    filmed_s = cameras[0].shots / FRAME_HZ
    assert filmed_s - summary.clock_s == pytest.approx(1.0, abs=2.0 / FRAME_HZ)


def test_a_small_film_is_of_the_walk_alone_at_half_the_rate(
    tmp_path: Path, blind: Callable[..., list[_BlindCamera]]
) -> None:
    """A second of walking: a frame each 80 ms, none of standing up before it or of lying down after it."""
    cameras = blind()
    summary = play_bundle(SHIPPED, "nominal", "vx=0,vy=0,yaw=0", 1.0, tmp_path / "walk.gif", film=SMALL)
    assert summary.faults == () and summary.clock_s > 2.0
    assert cameras[0].shots == pytest.approx(12.5, abs=1.0)
    with Image.open(tmp_path / "walk.gif") as film:
        seconds = film.n_frames * film.info["duration"] / 1000  # type: ignore[attr-defined]
    assert seconds == pytest.approx(1.0, abs=1.0 / SMALL.frame_hz)


def test_a_fall_ends_a_small_film_and_is_seen(tmp_path: Path, blind: Callable[..., list[_BlindCamera]]) -> None:
    """On its back in the tenth frame, 0.72 s after the first: at once over, and a second more."""
    cameras = blind(upset_before_frame=9)
    play_bundle(SHIPPED, "nominal", "vx=0,vy=0,yaw=0", 5.0, tmp_path / "fall.gif", film=SMALL)
    assert cameras[0].shots / SMALL.frame_hz - 0.72 == pytest.approx(1.0, abs=0.2)


def test_the_command_films_small_where_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[FilmFormat] = []
    monkeypatch.setattr(play, "play_bundle", lambda *arguments, film: asked.append(film))
    for words in ([], ["--small"]):
        assert main(["sim", "play", str(SHIPPED), "--out", str(tmp_path / "walk.gif"), *words]) == 0
    assert asked == [FULL, SMALL]


def test_an_unknown_ending_is_refused_before_anything_else(tmp_path: Path) -> None:
    with pytest.raises(PlayError, match=r"\.gif or \.mp4; found 'walk\.avi'"):
        play_bundle(tmp_path / "missing.go1policy", "nominal", "vx=0", 1.0, tmp_path / "walk.avi")


def test_mp4_without_ffmpeg_names_the_gif(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PlayError, match=r"Write a \.gif"):
        film_writer(Path("walk.mp4"))


def test_endings_may_be_in_capitals() -> None:
    assert film_writer(Path("WALK.GIF")) is write_gif


def test_a_gif_holds_the_frames_in_order_at_their_rate(tmp_path: Path) -> None:
    frames = np.zeros((4, 30, 40, 3), dtype=np.uint8)
    for index, frame in enumerate(frames):
        frame[:, : 10 * index] = 255  # a white bar that grows by a quarter each time
    write_gif(tmp_path / "bar.gif", list(frames))
    with Image.open(tmp_path / "bar.gif") as film:
        assert (film.n_frames, film.size) == (4, (40, 30))  # type: ignore[attr-defined]
        for index in range(4):
            film.seek(index)
            assert film.info["duration"] == 40
            assert np.asarray(film.convert("L")).mean() == pytest.approx(255 * index / 4, abs=3)


def _fake_ffmpeg(folder: Path, code: str) -> None:
    program = folder / "ffmpeg"
    program.write_text(f"#!{sys.executable}\nimport pathlib, sys\n{code}\n")
    program.chmod(0o755)


def test_a_film_may_have_another_rate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    frames = [np.zeros((30, 40, 3), dtype=np.uint8) for _ in range(2)]
    frames[0][:, :10] = frames[1][:, :20] = 255
    write_gif(tmp_path / "slow.gif", frames, 12.5)
    with Image.open(tmp_path / "slow.gif") as film:
        assert film.info["duration"] == 80
    _fake_ffmpeg(tmp_path, "sys.stdin.buffer.read()\nassert '-r 12.5 -i -' in ' '.join(sys.argv), sys.argv")
    monkeypatch.setenv("PATH", str(tmp_path))
    write_mp4(tmp_path / "slow.mp4", frames, 12.5)


def test_ffmpeg_gets_every_pixel_and_the_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _fake_ffmpeg(
        tmp_path,
        "pathlib.Path(sys.argv[-1]).write_bytes(sys.stdin.buffer.read())\n"
        "assert '-s 40x30 -r 25 -i -' in ' '.join(sys.argv), sys.argv",
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    frames = np.random.default_rng(0).integers(0, 256, (3, 30, 40, 3), dtype=np.uint8)
    film_writer(tmp_path / "noise.mp4")(tmp_path / "noise.mp4", list(frames))
    assert (tmp_path / "noise.mp4").read_bytes() == frames.tobytes()


def test_what_ffmpeg_complains_of_is_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _fake_ffmpeg(tmp_path, "sys.stdin.buffer.read(); sys.exit('no encoder for this')")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PlayError, match="no encoder for this"):
        write_mp4(tmp_path / "x.mp4", [np.zeros((30, 40, 3), dtype=np.uint8)])


@pytest.mark.parametrize(
    ("environment", "installed", "chosen"),
    [
        ({}, {"OSMesa", "EGL"}, "osmesa"),
        ({}, {"EGL"}, "egl"),
        ({"MUJOCO_GL": "EGL"}, {"OSMesa", "EGL"}, "egl"),
        ({"MUJOCO_GL": "glfw"}, {"OSMesa"}, "osmesa"),  # glfw needs a display
    ],
)
def test_the_library_asked_for_or_the_first_installed_draws(
    environment: dict[str, str], installed: set[str], chosen: str
) -> None:
    assert choose_drawing_library(environment, lambda name: name if name in installed else None) == chosen


def test_with_nothing_to_draw_with_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    with pytest.raises(PlayError, match="apt-get install libosmesa6"):
        open_gl(WIDTH_PX, HEIGHT_PX)


def test_a_library_that_does_not_load_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    monkeypatch.setitem(sys.modules, "mujoco.osmesa", None)  # importing it fails
    with pytest.raises(PlayError, match="osmesa, which does not work"):
        open_gl(WIDTH_PX, HEIGHT_PX)


@needs_osmesa
def test_the_camera_and_the_shadow_follow_the_robot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    body = TwinBody(load_condition("nominal"), seed=1)
    camera = Camera(body.model, body.data, FULL)
    dark = []
    try:
        for place in (0.0, 8.0):
            body.data.qpos[:3] = [place, -place, 0.3]  # whole squares of the chequered floor
            mujoco.mj_forward(body.model, body.data)
            frame = camera.shoot()
            assert frame.shape == (HEIGHT_PX, WIDTH_PX, 3)
            dark.append(frame.mean(axis=2) < 130.0)  # the floor is lighter than that, robot and shadow are not
    finally:
        camera.close()
    rows, columns = np.nonzero(dark[0])
    assert 0.02 < dark[0].mean() < 0.3
    assert 0.35 < rows.mean() / HEIGHT_PX < 0.75
    assert 0.35 < columns.mean() / WIDTH_PX < 0.65
    assert (dark[0] != dark[1]).mean() < 0.1 * dark[0].mean()
