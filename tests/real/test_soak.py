"""A minute of random faults; ``tools/soak.py`` runs half an hour of them."""

import subprocess
import sys
from pathlib import Path

from tests.real.servers import need_gstreamer


def test_faults_that_never_end_leave_nothing_behind():
    need_gstreamer()
    done = subprocess.run(
        [sys.executable, "-m", "tools.soak", "--minutes", "1", "--seed", "2"],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-5000:]
    assert "| threads |" in done.stdout
