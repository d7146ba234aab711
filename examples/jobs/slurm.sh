#!/bin/bash
# One process a GPU on 4 nodes. Again with the same command, a run that was ended goes on.
#
#   sbatch examples/jobs/slurm.sh
#
# On CPU nodes: --ntasks-per-node is the number of cores, --cpus-per-task=1, and no --gpus-per-node.
#SBATCH --job-name=jaxga
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
# Five minutes before the end: finish the generation, save it, leave.
#SBATCH --signal=USR1@300
set -euo pipefail

# A folder that all nodes see.
out="${SLURM_SUBMIT_DIR:-.}/runs/cartpole"
if [ -e "$out/config.json" ]; then
    run=(--resume "$out")
else
    run=(--task cartpole --pop 4096 --generations 50 --out "$out")
fi
# SLURM tells JAX where process 0 is, and each process which one it is.
exec srun jaxga run "${run[@]}" --coordinator auto
