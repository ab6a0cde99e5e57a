"""Two runs do not write into one folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from policy.run_lock import FolderInUseError, locked

ROOT = Path(__file__).resolve().parents[2]


def test_a_held_folder_is_refused_and_is_free_afterwards(tmp_path):
    with locked(tmp_path):
        with pytest.raises(FolderInUseError, match="a run that holds"):
            with locked(tmp_path):
                pass
        with locked(tmp_path.parent):
            pass
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_error_lets_go_of_the_folder(tmp_path):
    with pytest.raises(ZeroDivisionError):
        with locked(tmp_path):
            raise ZeroDivisionError
    with locked(tmp_path):
        pass


def test_a_killed_process_lets_go_of_the_folder(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from policy.run_lock import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    with pytest.raises(FolderInUseError):
        with locked(tmp_path):
            pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    with locked(tmp_path):
        pass
