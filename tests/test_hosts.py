"""Processes of one machine talk over the loopback address, whatever the machine's name leads to."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jaxga import runtime

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


@pytest.mark.parametrize(("coordinator", "is_local"), [("127.0.0.1:4567", True), ("localhost:4567", True),
                                                       ("[::1]:4567", True), ("node0:4567", False),
                                                       ("192.0.2.1:4567", False)])  # fmt: skip
def test_a_stopped_process_is_waited_for_on_one_machine(coordinator, is_local, monkeypatch):
    """A minute and more; on several hosts one that does not answer is dead."""
    given = {}
    monkeypatch.setattr(runtime.jax.distributed, "initialize", lambda **options: given.update(options))
    monkeypatch.setattr(runtime, "_connect", lambda: None)
    library = runtime._private("jax._src.lib", "_jax")
    monkeypatch.setattr(library, "make_gloo_tcp_collectives", lambda **options: given.update(options))
    runtime.distributed(coordinator, 2, 1)
    assert (given["heartbeat_timeout_seconds"] > 24 * 3600) == is_local
    assert given["heartbeat_timeout_seconds"] > 60
    assert given["coordinator_bind_address"] == (coordinator if is_local else None)
    library.make_gloo_tcp_collectives()
    assert given.get("hostname") == ("127.0.0.1" if is_local else None)


STOPPED = """
import sys, time
import jaxga
from jaxga import runtime

if len(sys.argv) == 1:
    runtime.start_workers(sys.argv, 2)
    print("ready", flush=True)
    sys.stdin.readline()
else:
    runtime.distributed(sys.argv[2], 2, 1)
print(runtime.agree(5), flush=True)
"""


def test_a_stopped_worker_is_named_and_the_run_goes_on(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(STOPPED)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    process = subprocess.Popen([sys.executable, str(script)], env=environment, **pipes)
    try:
        assert process.stdout.readline() == "ready\n"
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, timeout=10)
        [worker] = map(int, children.stdout.split())
        os.kill(worker, signal.SIGSTOP)
        assert process.stderr.readline() == (
            f"process 1 of 2 is stopped and the run waits for it: kill -CONT {worker}\n"
        )
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(2)
        assert process.poll() is None
        os.kill(worker, signal.SIGCONT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (0, "5\n", "")
    finally:
        process.kill()
        process.communicate(timeout=60)
