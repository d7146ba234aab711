"""The job files name options that there are, and a Job that Kubernetes accepts."""

import re
import shlex
import subprocess

import pytest
import yaml

from jaxga.cli.arguments import parse
from jaxga.cli.options import Options
from tests.command_line import ROOT

JOBS = ROOT / "examples" / "jobs"
MANIFESTS = list(yaml.safe_load_all((JOBS / "kubernetes.yaml").read_text()))
BY_KIND = {manifest["kind"]: manifest for manifest in MANIFESTS}


def checked(words):
    parsed = parse(Options, words)
    assert parsed is not None
    parsed.options.check()
    return parsed.options


def run_in(script, folder, **variables):
    """The words of ``jaxga run`` that a script comes to; ``jaxga`` and ``srun`` only print them."""
    program = folder / "bin"
    program.mkdir(exist_ok=True)
    for name in ("jaxga", "srun"):
        (program / name).write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        (program / name).chmod(0o755)
    environment = {"PATH": f"{program}:/usr/bin:/bin", **variables}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    words = done.stdout.split()
    return words[words.index("run") + 1 :]


def scripts():
    [container] = BY_KIND["Job"]["spec"]["template"]["spec"]["containers"]
    yield "slurm", (JOBS / "slurm.sh").read_text(), "runs/cartpole", {}
    yield "kubernetes", container["args"][0], "/runs/cartpole", {"JOB_COMPLETION_INDEX": "3"}


@pytest.mark.parametrize(("name", "script", "out", "variables"), list(scripts()), ids=lambda value: str(value)[:10])
def test_a_job_begins_and_then_goes_on(name, script, out, variables, tmp_path):
    script = script.replace("/runs/cartpole", f"{tmp_path}/runs/cartpole") if name == "kubernetes" else script
    variables |= {"SLURM_SUBMIT_DIR": str(tmp_path)}
    folder = tmp_path / "runs" / "cartpole"
    options = checked(run_in(script, tmp_path, **variables))
    assert (options.task, options.pop, options.out, options.resume) == ("cartpole", 4096, folder, None)
    if name == "slurm":
        assert options.coordinator == "auto"
    else:
        assert (options.num_processes, options.process_id) == (BY_KIND["Job"]["spec"]["completions"], 3)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    words = run_in(script, tmp_path, **variables)
    assert words[:2] == ["--resume", str(folder)]
    assert "--coordinator" in words
    assert "--out" not in words


def test_slurm_starts_a_process_a_gpu_and_signals_before_the_end():
    asked = dict(re.findall(r"^#SBATCH --([a-z-]+)=(\S+)", (JOBS / "slurm.sh").read_text(), re.MULTILINE))
    assert asked["ntasks-per-node"] == asked["gpus-per-node"]
    assert asked["signal"].startswith("USR1@")


def test_the_pods_find_process_0():
    job, service = BY_KIND["Job"], BY_KIND["Service"]
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"]
    [container] = pod["containers"]
    words = shlex.split(container["args"][0].replace("\\\n", " "))
    host, port = words[words.index("--coordinator") + 1].split(":")
    # The pod of index 0 has the host name JOB-0, in the domain of the headless service.
    assert host == f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    assert pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert service["spec"]["ports"][0]["port"] == container["ports"][0]["containerPort"] == int(port)
    claim = BY_KIND["PersistentVolumeClaim"]
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert "ReadWriteMany" in claim["spec"]["accessModes"]
    own = {"job-name": job["metadata"]["name"]}
    policy = BY_KIND["NetworkPolicy"]["spec"]
    assert service["spec"]["selector"] == policy["podSelector"]["matchLabels"] == own
    assert policy["ingress"] == [{"from": [{"podSelector": {"matchLabels": own}}]}]


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest["kind"])
def test_kubernetes_schema(manifest):
    validate = pytest.importorskip("kubernetes_validate", reason="100 MB of schemas: pip install kubernetes-validate")
    validate.validate(manifest, "1.30", strict=True)
