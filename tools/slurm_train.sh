#!/usr/bin/env bash
# Train under SLURM: tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of toolkit-train]
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS of the environment are passed on.
set -euo pipefail
partition=${1:?usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [options]}
job=${2:?usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [options]}
config=${3:?usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [options]}
work_dir=${4:?usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [options]}
shift 4
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-8}
# SRUN_ARGS holds several words on purpose.
# shellcheck disable=SC2086
exec srun -p "$partition" --job-name="$job" \
    --gres="gpu:$per_node" --ntasks="$gpus" --ntasks-per-node="$per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python -u "$(dirname "$0")/train.py" "$config" --work-dir "$work_dir" --launcher slurm "$@"
