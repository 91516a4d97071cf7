#!/usr/bin/env bash
# Train on several GPUs of one machine: tools/dist_train.sh CONFIG GPUS [options of toolkit-train]
# NNODES, NODE_RANK, MASTER_ADDR and MASTER_PORT of the environment span several machines.
set -euo pipefail
config=${1:?usage: $0 CONFIG GPUS [options]}
gpus=${2:?usage: $0 CONFIG GPUS [options]}
shift 2
exec torchrun \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$gpus" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${MASTER_PORT:-29500}" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "$@"
