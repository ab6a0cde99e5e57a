"""The command line: every command explains itself, and what goes wrong is one clear message and exit status 2."""

import argparse
import json
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import cli.demo
from cli.arguments import address, count, factor, seconds
from cli.main import build_parser, main
from cli.output import print_result
from robot_configs.errors import Go1Error

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = {
    "demo",
    "sim train",
    "sim sweep",
    "sim play",
    "sim twin",
    "sim eval",
    "policy import",
    "policy inspect",
    "policy lineage",
    "policy verify",
    "policy keygen",
    "policy sign",
    "robot confirm",
    "robot doctor",
    "robot flash",
    "robot install",
    "robot rollback",
    "robot status",
    "robot run",
    "robot shadow",
    "teleop",
    "data ingest",
    "data check",
    "data info",
    "data recover",
    "data import uni-o4",
    "refine",
    "finetune",
}
RunOnRobot = Callable[[str], "subprocess.CompletedProcess[str]"]


def leaves(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command that does something, by the words that lead to it."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield parser.prog.removeprefix("go1 "), parser
    for action in below:
        for child in action.choices.values():
            yield from leaves(child)


LEAVES = dict(leaves(build_parser()))


def example_of(words: str) -> str:
    """The command in the help's epilog."""
    epilog = LEAVES[words].epilog
    assert epilog is not None, f"go1 {words} shows no example"
    return epilog.removeprefix("example:\n").strip()


def test_all_commands_are_there() -> None:
    assert set(LEAVES) == COMMANDS


@pytest.mark.parametrize("words", sorted(COMMANDS))
def test_the_example_of_the_help_parses(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = shlex.split(example_of(words))
    assert example[: 1 + len(words.split())] == ["go1", *words.split()]
    monkeypatch.chdir(tmp_path)
    for folder in ("logs", "datasets/monday", "datasets/tuesday", "uni_o4_go1_real", "policy/bundles"):
        (tmp_path / folder).mkdir(parents=True)
    for word in example:
        if word.endswith((".go1policy", ".jit")):
            (tmp_path / word).touch()
    assert build_parser().parse_args(example[1:]).run is LEAVES[words].get_default("run")


@pytest.mark.parametrize("words", sorted(COMMANDS))
def test_help_ends_well(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main([*words.split(), "--help"])
    assert exit_info.value.code == 0
    assert "example:\n  go1 " in capsys.readouterr().out


def test_help_loads_no_library() -> None:
    """A quarter of a second of NumPy would be felt at every completion of a word; torch costs seconds."""
    program = (
        "import sys, cli.main\n"
        "try: cli.main.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'numpy', 'torch', 'mujoco', 'onnxruntime', 'yaml'} & set(sys.modules)), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["policy", "verify", "no.go1policy"], "expected an existing file; found none at 'no.go1policy'"),
        (["data", "check", "nowhere"], "expected an existing file or folder; found none at 'nowhere'"),
        (["data", "ingest", "a.file", "--out", "b"], "expected a folder; found a file at 'a.file'"),
        (["policy", "verify", "a.folder"], "expected a file; found a folder at 'a.folder'"),
        (["sim", "eval"], "the following arguments are required: BUNDLE"),
        (["robot", "walk"], "invalid choice: 'walk'"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_a_wrong_command_line_is_refused(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.file").touch()
    (tmp_path / "a.folder").mkdir()
    with pytest.raises(SystemExit) as exit_info:
        main(words)
    assert exit_info.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.168.123.10:8007", ("192.168.123.10", 8007)),
        ("h", ("h", 8007)),
        ("h:1", ("h", 1)),
        ("::1:65535", ("::1", 65535)),
    ],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert address(text) == expected


@pytest.mark.parametrize("text", ["", "host:", ":8007", "host:0", "host:65536", "host:-1", "host:8o"])
def test_wrong_addresses(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"HOST\[:PORT\]"):
        address(text)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "one", "1e3"])
def test_wrong_counts(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        count(text)


@pytest.mark.parametrize("text", ["0", "-0.1", "nan", "inf", "soon"])
def test_wrong_times(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        seconds(text)


def test_the_smallest_count_and_time() -> None:
    assert count("1") == 1
    assert seconds("1e-3") == 0.001


class Fails:
    """A command that raises."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self, options: argparse.Namespace) -> int:
        raise self.error


def run_failing(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    """Exit status of a command line whose command raises `error`."""
    monkeypatch.setattr(cli.demo, "run_demo", Fails(error))
    return main(["demo"])


def test_a_deliberate_error_is_one_message(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_failing(Go1Error("a Kp of at most 60 Nm/rad", "80 Nm/rad", "Lower it."), monkeypatch) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "go1: expected a Kp of at most 60 Nm/rad\n     found    80 Nm/rad\n     Lower it.\n"


def test_a_package_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_failing(ModuleNotFoundError("No module named 'torch'", name="torch.nn"), monkeypatch) == 2
    err = capsys.readouterr().err
    assert "expected the Python package torch.nn" in err
    assert "Traceback" not in err


def test_a_file_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_failing(PermissionError(13, "Permission denied", "/logs/a.mcap"), monkeypatch) == 2
    assert "expected to use /logs/a.mcap\n     found    Permission denied" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [ValueError("ours"), OSError("no file in it"), ModuleNotFoundError("gone", name="policy.gone")]
)
def test_a_defect_of_ours_stays_a_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(type(error)):
        run_failing(error, monkeypatch)


def test_an_interrupt_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_failing(KeyboardInterrupt(), monkeypatch) == 130
    assert capsys.readouterr().err == "go1: interrupted\n"


def test_a_reader_that_leaves_is_no_traceback() -> None:
    """As in `go1 policy inspect ... | head -1`."""
    program = (
        "import cli.demo, cli.main, sys\n"
        "cli.demo.run_demo = lambda options: [print('x' * 100_000) for _ in range(10)] and 0\n"
        "sys.exit(cli.main.main(['demo']))"
    )
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(program)} | head -c 1; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (141, "x", "")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sealed policy with random weights."""
    from policy.bundle import Lineage
    from policy.export import export_bundle
    from policy.graph import PolicyGraph
    from policy.networks import GaussianActor
    from policy.velocity_contract import velocity_contract
    from robot_configs.robot import load_robot

    robot = load_robot()
    contract = velocity_contract(robot)
    actor = GaussianActor(contract.observation_dim, contract.action_dim, (8,), 0.5)
    path = tmp_path_factory.mktemp("bundle") / "random.go1policy"
    lineage = Lineage("pretrain", (), (), "0", seed=7, command="a test")
    export_bundle(PolicyGraph(contract, actor).requires_grad_(False), path, lineage, 3, robot)
    return path


def test_a_bundle_is_inspected_and_verified_on_the_robot(bundle: Path, run_on_robot: RunOnRobot) -> None:
    result = run_on_robot(f"import cli.main; sys.exit(cli.main.main(['policy', 'verify', {str(bundle)!r}]))")
    assert result.returncode == 0, result.stderr
    assert "version 3, 64 golden sequences (512 steps) replayed" in result.stdout
    result = run_on_robot(f"import cli.main; sys.exit(cli.main.main(['policy', 'inspect', {str(bundle)!r}, '--json']))")
    content = json.loads(result.stdout)
    assert (content["version"], content["lineage"]["seed"], content["contract"]["control_hz"]) == (3, 7, 50)


def test_the_robots_command_walks_without_torch(bundle: Path, tmp_path: Path, run_on_robot: RunOnRobot) -> None:
    """Through UDP to a twin in lockstep. Random weights need not walk well: half a second has to be logged."""
    from robot_configs.twin_conditions import load_condition
    from sim.twin.body import TwinBody
    from sim.twin.server import TwinServer

    with TwinServer(TwinBody(load_condition("nominal"), seed=1), "127.0.0.1", 0, lockstep=True) as server:
        thread = threading.Thread(target=server.serve)
        thread.start()
        words = ["robot", "run", "--bundle", str(bundle), "--robot", "{}:{}".format(*server.address), "--lockstep"]
        words += ["--commands", "vx=0,vy=0,yaw=0", "--duration", "0.5", "--log-dir", str(tmp_path / "logs"), "--json"]
        result = run_on_robot(f"import cli.main; sys.exit(cli.main.main({words!r}))")
        server.stop()
        thread.join()
    assert result.returncode == 0, result.stdout + result.stderr
    summary = json.loads(result.stdout)
    assert summary["steps"] == 25
    assert [path.suffix for path in (tmp_path / "logs").iterdir()] == [".mcap"]


def test_the_outline_names_the_contract(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "inspect", str(bundle)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "version       3" in lines
    assert "    name vx, unit m/s, lower -1.5, upper 1.5, slew_per_s 4" in lines


def test_a_changed_byte_is_refused(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = bytearray(bundle.read_bytes())
    content[len(content) // 2] ^= 1
    changed = tmp_path / "changed.go1policy"
    changed.write_bytes(content)
    assert main(["policy", "verify", str(changed)]) == 2
    assert "expected the seal (SHA-256) to match the content" in capsys.readouterr().err


def test_training_on_the_robot_names_what_is_missing(run_on_robot: RunOnRobot) -> None:
    result = run_on_robot("import cli.main; sys.exit(cli.main.main(['sim', 'train', '--out', '/nowhere']))")
    assert result.returncode == 2
    assert "which this command needs" in result.stderr
    assert "Traceback" not in result.stderr


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_result({"power": [1.5, float("nan")], "below": {"cost": float("inf")}}, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"power": [1.5, None], "below": {"cost": None}}


def test_an_outline_shows_what_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    print_result({"faults": (), "reason": "", "refused": {}, "loss": 0.125, "episodes": [{"steps": 3}]}, as_json=False)
    assert capsys.readouterr().out == "faults    -\nreason    -\nrefused   -\nloss      0.125\nepisodes:\n  steps 3\n"


@pytest.mark.parametrize(("text", "expected"), [("0", 0.0), ("0.5", 0.5), ("1", 1.0)])
def test_factors(text: str, expected: float) -> None:
    assert factor(text) == expected


@pytest.mark.parametrize("text", ["-0.1", "nan", "inf", "much"])
def test_wrong_factors(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        factor(text)


def test_a_bundle_without_its_own_shadow_report_is_not_flashed(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No host of that name is asked for: the report is read first."""
    from cli.shadow import write_report
    from deploy.onboard.shadow_report import ShadowFindings, ShadowReport
    from policy.bundle import read_bundle

    words = ["robot", "flash", str(bundle), "--host", "nobody@nowhere.invalid", "--after-shadow"]
    report = tmp_path / "a.shadow.json"
    write_report(ShadowReport("c" * 64, "d" * 64, 600, ShadowFindings(steps=600, starts=1)), report)
    assert main([*words, str(report)]) == 2
    assert "found    one of cccccccccccc" in capsys.readouterr().err
    write_report(ShadowReport(read_bundle(bundle).sha256, "d" * 64, 600, ShadowFindings(steps=499)), report)
    assert main([*words, str(report)]) == 2
    assert "found    499 steps compared, at least 500 needed; 101 of 600" in capsys.readouterr().err
