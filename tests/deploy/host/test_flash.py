"""Flashing over a real sshd on this machine's loopback, with keys made for the test."""

import io
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cli.main import main
from deploy.host.flash import FlashError, RefusedByRobotError, SshRobot, flash
from deploy.host.signing import SigningError, make_key, sign
from deploy.onboard import slot_command
from deploy.onboard.store import BundleStore
from policy.bundle import BUNDLES, BundleError, read_bundle, write_bundle

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = BUNDLES / "go1_velocity.go1policy"
SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
# `make test-robot` names a Python 3.8 with the robot's own packages.
ROBOT_PYTHON = str(Path(os.environ.get("GO1_ROBOT_PYTHON", sys.executable)).absolute())


@pytest.fixture(scope="module")
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshRobot]:
    """An sshd of the current user, and the way to it; its store is a folder of the test."""
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("openssh-server and openssh-client are not installed")
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host_key", "user_key"):
        make_key(folder / name)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    host_key = (folder / "host_key.pub").read_text().split()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key[0]} {host_key[1]}\n")
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile none\nStrictModes no\nUsePAM no\n"
        f"AuthorizedKeysFile {folder}/user_key.pub\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd refuses to separate privileges without it
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=subprocess.PIPE)
    try:
        wait_for(port, server)
        yield SshRobot(
            f"{subprocess.run(['id', '-un'], capture_output=True, text=True, check=True).stdout.strip()}@127.0.0.1",
            port,
            folder / "user_key",
            (f"UserKnownHostsFile={folder}/known_hosts", "GlobalKnownHostsFile=/dev/null"),
            f"cd {shlex.quote(str(ROOT))} && OMP_NUM_THREADS=1 {shlex.quote(ROBOT_PYTHON)}",
            "",
        )
    finally:
        server.terminate()
        server.wait()


def wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    """Until it listens."""
    for _ in range(200):
        if server.poll() is not None:
            assert server.stderr is not None
            pytest.skip(f"sshd does not start here: {server.stderr.read().decode()[-200:]}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.skip("sshd does not listen within ten seconds")


@pytest.fixture
def robot_there(ssh_server: SshRobot, tmp_path: Path) -> SshRobot:
    return replace(ssh_server, root=str(tmp_path / "a store"))


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The shipped policy under a higher version."""
    bundle = read_bundle(SHIPPED)
    path = tmp_path / "newer.go1policy"
    write_bundle(
        path,
        bundle.contract,
        bundle.onnx_bytes,
        bundle.golden,
        bundle.lineage,
        bundle.version + 1,
        bundle.robot_sha256,
    )
    return path


@pytest.mark.slow
def test_flash_run_confirm_and_roll_back(robot_there: SshRobot, newer: Path) -> None:
    status = flash(SHIPPED, robot_there)
    assert status["active"]["sha256"] == read_bundle(SHIPPED).sha256
    assert (status["trial"], status["installed"]["golden_steps"]) == ("untried", 512)
    with pytest.raises(RefusedByRobotError, match="one that is untried"):
        robot_there.call("confirm")
    with BundleStore(robot_there.root).session() as session:
        session.faultless()
    assert robot_there.call("confirm")["highest_version"] == 1
    status = flash(newer, robot_there)
    assert (status["active"]["version"], status["previous"]["version"]) == (2, 1)
    assert robot_there.call("rollback")["active"]["version"] == 1
    assert robot_there.call("status")["trial"] is None
    assert BundleStore(robot_there.root).active_bundle().read_bytes() == SHIPPED.read_bytes()


@pytest.mark.slow
def test_a_refusal_comes_back_in_the_robots_words(robot_there: SshRobot, newer: Path) -> None:
    flash(newer, robot_there)
    with BundleStore(robot_there.root).session() as session:
        session.faultless()
    robot_there.call("confirm")
    with pytest.raises(RefusedByRobotError, match="expected version 2 or newer: that one was confirmed here; found"):
        flash(SHIPPED, robot_there)
    assert flash(SHIPPED, robot_there, allow_downgrade=True)["active"]["version"] == 1


@pytest.mark.slow
def test_with_a_trusted_key_there_the_signature_travels_along(robot_there: SshRobot, newer: Path) -> None:
    key = newer.parent / "key"
    trusted = Path(robot_there.root) / "trusted_keys"
    trusted.mkdir(parents=True)
    shutil.move(make_key(key), trusted)
    with pytest.raises(RefusedByRobotError, match="no signature"):
        flash(newer, robot_there)
    sign(newer, key)
    status = flash(newer, robot_there)
    assert (status["active"]["version"], status["trusted_keys"]) == (2, ["key.pub"])


def test_a_cut_connection_changes_nothing(robot_there: SshRobot, newer: Path) -> None:
    flash(SHIPPED, robot_there)
    content = newer.read_bytes()
    with pytest.raises(RefusedByRobotError, match="the connection was cut"):
        robot_there.call("install", b"%d 0\n" % len(content) + content[:-1])
    with pytest.raises(RefusedByRobotError, match="the connection was cut"):
        robot_there.call("install", b"%d 0\n" % len(content) + content + b"more")
    assert robot_there.call("status")["active"]["version"] == 1


@pytest.mark.parametrize("line", [b"", b"1", b"1 2 3\n", b"-1 0\n", b"99999999999 0\n", b"0 99999\n", b"9" * 100])
def test_sizes_out_of_bounds_are_refused_before_anything_is_read(
    line: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = io.BytesIO(line + b"x" * 100)
    assert slot_command.main([str(tmp_path), "install"], stream) == 2
    assert json.loads(capsys.readouterr().out)["error"]["expected"].split()[0] in ("the", "at")
    assert stream.tell() <= 64


@pytest.mark.parametrize("arguments", [[], ["/root"], ["/root", "erase"], ["/root", "status", "more"]])
def test_other_verbs_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert slot_command.main(arguments, io.BytesIO()) == 2
    assert "one of install" in json.loads(capsys.readouterr().out)["error"]["expected"]


def test_a_host_that_is_not_known_is_refused(robot_there: SshRobot) -> None:
    stranger = replace(robot_there, options=("UserKnownHostsFile=/dev/null", "GlobalKnownHostsFile=/dev/null"))
    with pytest.raises(FlashError, match="accept it once by hand"):
        stranger.call("status")


def test_a_key_that_is_not_authorized_is_refused(robot_there: SshRobot, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    with pytest.raises(FlashError, match="ssh-copy-id"):
        replace(robot_there, identity=tmp_path / "stranger").call("status")


def test_a_robot_without_the_project_is_named(robot_there: SshRobot) -> None:
    with pytest.raises(FlashError, match=r"slot command on .*go1 robot install"):
        replace(robot_there, python=f"cd / && {shlex.quote(sys.executable)} -S -I").call("status")


def test_nobody_listens(robot_there: SshRobot) -> None:
    with pytest.raises(FlashError, match="Check address, port and cable"):
        replace(robot_there, port=1).call("status")


def test_the_command_line_flashes(robot_there: SshRobot, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--host", robot_there.host, "--port", str(robot_there.port), "--identity", str(robot_there.identity)]
    for option in robot_there.options:
        words += ["--ssh-option", option]
    words += ["--python", robot_there.python, "--slots", robot_there.root, "--json"]
    assert main(["robot", "flash", str(SHIPPED), *words]) == 0
    assert json.loads(capsys.readouterr().out)["trial"] == "untried"
    assert main(["robot", "rollback", *words]) == 2
    assert "a previous bundle to go back to" in capsys.readouterr().err


def test_a_person_is_shown_the_state_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    slot = {"sha256": "a" * 64, "version": 1}
    installed = {"active": slot, "previous": None, "trial": "untried", "golden_steps": 512, "failed_here_before": False}
    answer = {"active": slot, "previous": None, "trial": "untried", "installed": installed}
    monkeypatch.setattr("deploy.host.flash.flash", lambda bundle, robot, downgrade: answer)
    words = ["robot", "flash", str(SHIPPED), "--host", "u@h"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert (shown.count("a" * 64), shown.count("untried")) == (1, 1)
    assert "installed:\n  golden_steps        512\n  failed_here_before  False\n" in shown
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == answer


def test_on_the_robot_itself_the_store_is_asked_without_ssh(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    BundleStore(tmp_path).install(SHIPPED.read_bytes())
    assert main(["robot", "status", "--slots", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["active"]["version"] == 1
    assert main(["robot", "confirm", "--slots", str(tmp_path)]) == 2
    assert "one that is untried" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["-oProxyCommand=true", "user@-x", "a b", "a;b", "", "user@host/path", "u@h\n"])
def test_a_host_that_ssh_could_take_for_something_else_is_refused(host: str) -> None:
    with pytest.raises(FlashError, match="USER@HOST"):
        SshRobot(host)


def test_a_damaged_bundle_is_not_even_sent(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.go1policy"
    damaged.write_bytes(SHIPPED.read_bytes()[:-1])
    with pytest.raises(BundleError, match="seal"):
        flash(damaged, SshRobot("nobody@host.invalid"))


def test_keys_are_never_overwritten_and_strangers_files_never_signed(tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    with pytest.raises(SigningError, match="never overwritten"):
        make_key(tmp_path / "key")
    (tmp_path / "a.go1policy").write_bytes(b"anything")
    with pytest.raises(BundleError, match="a policy bundle"):
        sign(tmp_path / "a.go1policy", tmp_path / "key")
    shutil.copy(SHIPPED, tmp_path / "b.go1policy")
    with pytest.raises(SigningError, match="ssh-keygen to succeed"):
        sign(tmp_path / "b.go1policy", tmp_path / "none")


def test_the_commands_make_keys_and_sign(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(SHIPPED, tmp_path / "b.go1policy")
    assert main(["policy", "keygen", "--out", str(tmp_path / "key")]) == 0
    for _ in range(2):  # a second signature replaces the first
        assert main(["policy", "sign", str(tmp_path / "b.go1policy"), "--key", str(tmp_path / "key")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "b.go1policy.sig")
