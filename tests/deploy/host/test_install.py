"""Installing over a real ssh connection, into a home of its own; and what is refused before anything is sent."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from cli.main import main
from deploy.host.flash import SshRobot
from deploy.host.install import InstallError, InstallSettings, RobotComputer, Step, as_script, plan, probe, run_step
from deploy.host.service_unit import UNIT_NAME, Service, ServiceError
from deploy.host.wheel import Wheel, WheelError, build_wheel
from deploy.onboard.store import DEFAULT_ROOT
from tests.deploy.host.local_sshd import LocalSshd, local_sshd, missing_openssh

COMPUTER = RobotComputer((3, 8), "aarch64", "unitree", "/home/unitree")
SETTINGS = InstallSettings(python="python3.8", robot_address="192.168.123.10:8007", duration_s=60.0)
WHEEL = Wheel("go1_sim_to_real-0.1.0-py3-none-any.whl", b"not a real one")
SERVICE = Service("unitree", "/home/unitree/go1", "/home/unitree/.go1/store", "192.168.123.10:8007", 60.0)


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSshd]:
    reason = missing_openssh()
    if reason is not None:
        pytest.skip(reason)
    with local_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def robot(sshd: LocalSshd) -> Iterator[SshRobot]:
    yield SshRobot(sshd.host, sshd.port, sshd.identity, sshd.options)
    shutil.rmtree(sshd.home / "go1", ignore_errors=True)


@pytest.fixture
def quick_python(tmp_path: Path) -> Path:
    """A Python whose environments see this one's packages: pip finds everything there and downloads nothing."""
    program = tmp_path / "python3"
    real, site = shlex.quote(sys.executable), shlex.quote(sysconfig.get_paths()["purelib"])
    program.write_text(
        "#!/bin/sh -e\n"
        f'if [ "$1 $2" != "-m venv" ]; then exec {real} "$@"; fi\n'
        f'{real} -m venv --without-pip "$3" "$4"\n'
        f'echo {site} > "$(echo "$4"/lib/python*/site-packages)/borrowed.pth"\n'
    )
    program.chmod(0o755)
    return program


def steps_by_title(settings: InstallSettings = SETTINGS) -> "dict[str, Step]":
    return {step.title: step for step in plan(COMPUTER, settings, "~/.go1/store", WHEEL)}


def test_a_probe_says_who_and_what_is_there(robot: SshRobot, sshd: LocalSshd) -> None:
    found = probe(robot, sys.executable)
    assert found.python == sys.version_info[:2]
    assert (found.machine, found.home) == (os.uname().machine, str(sshd.home))


@pytest.mark.slow
def test_the_whole_installation(robot: SshRobot, sshd: LocalSshd, quick_python: Path, tmp_path: Path, capsys) -> None:
    units = tmp_path / "units"
    units.mkdir()
    words = ["robot", "install", "--host", sshd.host, "--port", str(sshd.port), "--identity", str(sshd.identity)]
    for option in sshd.options:
        words += ["--ssh-option", option]
    words += ["--python", str(quick_python), "--service-user", "daemon", "--unit-folder", str(units), "--json"]
    words += ["--robot", "127.0.0.1:8007"]

    assert main([*words, "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["dry_run"] is True
    assert not (sshd.home / "go1").exists(), "a dry run must not change anything"

    assert main(words) == 0
    report = json.loads(capsys.readouterr().out)
    said = {step["step"]: step["said"] for step in report["steps"]}
    assert any("golden vectors replayed" in line for line in said["replay the shipped policies there"])
    folder = sshd.home / "go1"
    assert (folder / "logs").is_dir()
    go1 = folder / "current" / "venv" / "bin" / "go1"
    shown = subprocess.run([go1, "robot", "--help"], cwd="/", capture_output=True, text=True, check=True)
    assert "install" in shown.stdout
    unit = (units / UNIT_NAME).read_text()
    assert f"ExecStart={go1} robot run --slots {sshd.home}/.go1/store --robot 127.0.0.1:8007" in unit
    assert "User=daemon\n" in unit
    assert "Restart=no\n" in unit

    # Once more: nothing new is built, and the service's file is written again.
    stamp = go1.stat().st_mtime_ns
    assert main(words) == 0
    said = {step["step"]: step["said"] for step in json.loads(capsys.readouterr().out)["steps"]}
    assert said["make its environment"] == ["already there"]
    assert go1.stat().st_mtime_ns == stamp
    assert len(list((folder / "releases").iterdir())) == 1
    verify_unit(units / UNIT_NAME)


def verify_unit(unit: Path) -> None:
    """Ask systemd, where it is installed, whether it understands every line."""
    if shutil.which("systemd-analyze") is None:
        return
    result = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(unit)], capture_output=True, text=True, check=False
    )
    complaints = [line for line in (result.stdout + result.stderr).splitlines() if unit.name in line]
    assert complaints == []


def test_a_switch_keeps_the_one_before_and_no_more(robot: SshRobot, sshd: LocalSshd) -> None:
    computer = replace(COMPUTER, home=str(sshd.home))
    releases = sshd.home / "go1" / "releases"
    names = []
    for content in (b"first", b"second", b"third"):
        wheel = replace(WHEEL, content=content)
        names.append(wheel.release)
        steps = {step.title: step for step in plan(computer, SETTINGS, "~/store", wheel)}
        run_step(robot, steps["copy the project"])
        assert (releases / wheel.release / wheel.name).read_bytes() == content
        run_step(robot, steps["switch to it"])
        assert (sshd.home / "go1" / "current").resolve().name == wheel.release
    assert sorted(path.name for path in releases.iterdir()) == sorted(names[1:])
    assert (sshd.home / "go1" / "previous").resolve().name == names[1]


def test_a_failing_step_leaves_what_runs(robot: SshRobot, sshd: LocalSshd, quick_python: Path) -> None:
    computer = replace(COMPUTER, home=str(sshd.home))
    good = {step.title: step for step in plan(computer, SETTINGS, "~/store", replace(WHEEL, content=b"good"))}
    run_step(robot, good["copy the project"])
    run_step(robot, good["switch to it"])
    bad = plan(computer, replace(SETTINGS, python=str(quick_python)), "~/store", WHEEL)
    run_step(robot, bad[0])
    with pytest.raises(
        InstallError, match="make its environment; found .*not_a_real|make its environment; found .*whl"
    ):
        run_step(robot, bad[1])
    assert (sshd.home / "go1" / "current").resolve().name == replace(WHEEL, content=b"good").release
    assert not (sshd.home / "go1" / "releases" / WHEEL.release / "complete").exists()


def test_no_python_there_is_named(robot: SshRobot) -> None:
    with pytest.raises(InstallError, match="look at the computer; found .*no-such-python"):
        probe(robot, "no-such-python")


def test_an_old_python_is_refused(robot: SshRobot, tmp_path: Path) -> None:
    old = tmp_path / "python3.6"
    old.write_text("#!/bin/sh\necho python 3.6\necho machine aarch64\necho user unitree\necho home /home/unitree\n")
    old.chmod(0o755)
    with pytest.raises(InstallError, match="Python 3.8 or newer.*is Python 3.6.*python3.8-venv"):
        probe(robot, str(old))


def test_nobody_there_is_named(robot: SshRobot) -> None:
    with pytest.raises(InstallError, match="Connection refused"):
        probe(replace(robot, port=9), "python3")


def test_wheels_are_sent_and_no_index_is_asked(tmp_path: Path) -> None:
    (tmp_path / "numpy-1.24.4-cp38.whl").write_bytes(b"x" * 1000)
    with_wheels = steps_by_title(replace(SETTINGS, wheels=tmp_path))
    assert "--no-index --find-links wheels" in with_wheels["make its environment"].script
    assert b"wheels/numpy-1.24.4-cp38.whl" in with_wheels["copy the project"].content
    assert "--no-index" not in steps_by_title()["make its environment"].script


def test_the_service_is_root_s_never(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="other than root"):
        plan(replace(COMPUTER, user="root"), SETTINGS, "~/store", WHEEL)
    assert plan(replace(COMPUTER, user="root"), replace(SETTINGS, service_user="unitree"), "~/store", WHEEL)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user", "two words"),
        ("user", ""),
        ("folder", "/home/a%h"),
        ("folder", "relative"),
        ("slots", "~/store"),
        ("robot_address", "1.2.3.4:8007\nExecStartPost=/bin/sh"),
        ("robot_address", "$HOST:8007"),
    ],
)
def test_what_would_change_the_units_meaning_is_refused(field: str, value: str) -> None:
    with pytest.raises(ServiceError, match=field):
        Service(**{**asdict(SERVICE), field: value})


def test_the_unit_grants_what_real_time_needs_and_starts_nothing_by_itself() -> None:
    lines = SERVICE.unit().splitlines()
    for line in (
        "AmbientCapabilities=CAP_SYS_NICE CAP_IPC_LOCK",
        "LimitMEMLOCK=infinity",
        "RestrictRealtime=no",
        "NoNewPrivileges=yes",
        "Restart=no",
        "KillMode=mixed",
        "User=unitree",
    ):
        assert line in lines
    assert "[Install]" not in lines  # so that it cannot be enabled: nothing moves after a power cut


def test_a_shell_cannot_be_reached_through_names(robot: SshRobot, sshd: LocalSshd) -> None:
    computer = replace(COMPUTER, home=str(sshd.home))
    settings = replace(SETTINGS, folder="go1/a;touch${IFS}bad".replace("${IFS}", "_"))
    step = plan(computer, settings, "~/store", WHEEL)[0]
    run_step(robot, step)
    assert (sshd.home / "go1" / "a;touch_bad" / "releases" / WHEEL.release / WHEEL.name).is_file()


@pytest.mark.slow
def test_the_wheel_is_the_same_whenever_it_is_built() -> None:
    first, second = build_wheel(), build_wheel()
    assert first == second
    assert first.release.startswith("0.1.0-")


def test_without_sources_no_wheel(tmp_path: Path) -> None:
    with pytest.raises(WheelError, match="checkout"):
        build_wheel(tmp_path)


def test_the_printed_steps_are_a_script_that_can_be_pasted(tmp_path: Path) -> None:
    computer = RobotComputer((3, 8), "x86_64", "somebody", str(tmp_path))
    script = as_script(plan(computer, SETTINGS, "~/.go1/store", WHEEL), "u@h")
    heads = [line for line in script.splitlines() if " of 5: " in line]
    assert [head.split(": ")[1].split(".")[0] for head in heads][1:] == [
        "make its environment",
        "replay the shipped policies there",
        "switch to it",
        "install the service",
    ]
    assert "bytes, which only the program can send:" in heads[0]
    assert f"\n#   tar -x -C {tmp_path}/go1/releases" in script
    assert max(len(line) for line in script.splitlines()) < 320, "a script has lines"
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)

    (tmp_path / "go1" / "releases" / WHEEL.release).mkdir(parents=True)
    switch = script[script.index("# 4 of 5") : script.index("# 5 of 5")]
    pasted = subprocess.run(["sh"], input=switch + "echo alive", text=True, capture_output=True, check=True)
    assert pasted.stdout == f"current is {WHEEL.release}\nalive\n"
    assert (tmp_path / "go1" / "current").resolve().name == WHEEL.release
    missing = switch.replace(str(tmp_path), "/nowhere") + "echo alive"
    assert subprocess.run(["sh"], input=missing, text=True, capture_output=True).stdout == "alive\n"


def test_what_comes_next_carries_the_way_to_the_robot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").touch()
    monkeypatch.setattr("deploy.host.install.probe", lambda robot, python: COMPUTER)
    monkeypatch.setattr("deploy.host.install.run_step", lambda robot, step: "done")
    monkeypatch.setattr("deploy.host.wheel.build_wheel", lambda: WHEEL)
    words = ["robot", "install", "--host", "u@h", "--port", "2222", "--identity", str(tmp_path / "key")]
    words += ["--ssh-option", "ProxyJump=a b", "--slots", "~/s", "--python", "python3.8"]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["next"] == (
        f"go1 robot flash BUNDLE --host u@h --port 2222 --identity {tmp_path / 'key'} --ssh-option 'ProxyJump=a b' "
        "--slots '~/s' --python go1/current/venv/bin/python"
    )
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert f"  python   {COMPUTER.python[0]}.{COMPUTER.python[1]}\n" in shown
    assert main([*words, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("# What go1 robot install runs on u@h")
    assert "\nset -eu\ncd " in out


@pytest.mark.parametrize("words", ["install", "flash", "status"])
def test_the_help_says_which_python_and_where_the_store_is(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["robot", words, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert f"the store there [{DEFAULT_ROOT}]" in text
    makes, has = "that makes the project's environment, 3.8 or newer", "that has this project; go1/current/venv"
    assert (makes in text, has in text) == (words == "install", words != "install")
