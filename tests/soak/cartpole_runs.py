"""Many short runs in fresh processes, on every core: ``python tests/soak/cartpole_runs.py 50``.

Each run has a time limit: a hang is a failure, not a wait. The compiled programs are cached after the first.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
ARGUMENTS = ["--task", "cartpole", "--steps", "5120", "--pop", "8", "--generations", "2", "--replicates", "2"]
LIMIT = 300


def main(num_runs: int) -> int:
    seconds = []
    for i in range(num_runs):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, str(ROOT / "experiments" / "run.py"), *ARGUMENTS, "--fresh", "2"]
            command += ["--seed", str(i), "--out", str(Path(folder) / "run"), "--quiet", "--no-report"]
            began = time.monotonic()
            try:
                status = subprocess.run(command, timeout=LIMIT, check=False).returncode
            except subprocess.TimeoutExpired:
                print(f"run {i}: no end within {LIMIT} s")
                return 1
            if status:
                print(f"run {i}: status {status}")
                return 1
            seconds.append(time.monotonic() - began)
            print(f"run {i}: {seconds[-1]:.1f} s", flush=True)
    print(
        f"{num_runs} of {num_runs} runs finished; "
        f"slowest {max(seconds):.1f} s, median {sorted(seconds)[num_runs // 2]:.1f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
