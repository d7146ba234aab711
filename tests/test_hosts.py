"""Processes of one machine talk over the loopback address, whatever the machine's name leads to."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Process 0 writes where it listens, in the kernel's notation: 0100007F is 127.0.0.1.
LISTENING = """
import os, sys
import jaxga
from jaxga import runtime

if len(sys.argv) == 1:
    runtime.start_workers(sys.argv, 2)
    links = [os.path.join("/proc/self/fd", fd) for fd in os.listdir("/proc/self/fd")]
    own = {os.readlink(link) for link in links if os.path.islink(link)}
    lines = [line.split() for name in ("tcp", "tcp6") for line in open(f"/proc/self/net/{name}").readlines()[1:]]
    print(*(line[1].split(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in own))
else:
    runtime.distributed(sys.argv[2], 2, 1)
runtime.agree(True)
"""


def listening(tmp_path, *prefix):
    script = tmp_path / "script.py"
    script.write_text(LISTENING)
    done = subprocess.run(
        [*prefix, sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.skipif(not Path("/proc/self/net").exists(), reason="the kernel does not say who listens")
def test_a_local_run_listens_on_loopback_alone(tmp_path):
    addresses = listening(tmp_path)
    assert len(addresses) == 2  # JAX's coordinator and Gloo
    assert all(address.endswith("0100007F") for address in addresses)


def test_a_host_whose_name_leads_nowhere(tmp_path):
    unshare = ["unshare", "--uts", "sh", "-c", 'hostname nowhere.invalid && exec "$@"', "sh"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("a host's name cannot be changed here (that takes root)")
    assert len(listening(tmp_path, *unshare)) == 2
