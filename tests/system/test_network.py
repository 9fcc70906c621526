"""Nothing from outside leads a download to this machine or the local network: real servers on two addresses of loopback."""

import subprocess
import sys


def test_the_guard_costs_nothing_where_nothing_is_downloaded():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, genre_core.util.network; print('ssl' in sys.modules, 'requests' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[1] == "False"
