"""What starts a run elsewhere: a script for an array of SLURM tasks, and an Indexed Job for Kubernetes."""

import json
import math
import shlex

from ctacal.jobs.batch.run import MOST_LOST

IMAGE = "REGISTRY/ctacal:VERSION"
"""To be replaced by the image that holds ctacal."""
CORES = 4
"""Cores of a task (own choice: small tasks start soon, and a lost machine costs little)."""

FAILURES = 3 * MOST_LOST
"""How often Kubernetes starts an index again (own choice): more than it takes to give up a row that kills its pods."""


def sbatch_script(run: str, parts: int, *, memory_mb: int, time_s: float) -> str:
    """Return a script for ``sbatch``: ``parts`` tasks, each with its part of the shards.

    SLURM sends SIGTERM to the script 60 s before its time ends, and at a preemption; the script hands it on, and puts
    a task that was handed back (75) in the queue again.
    """
    command = shlex.join(["ctacal", "batch", "run", run, "--shard", f"slurm/{parts}", *_limits(memory_mb, time_s)])
    return f"""#!/bin/bash
#SBATCH --job-name=ctacal
#SBATCH --array=0-{parts - 1}
#SBATCH --cpus-per-task={CORES}
#SBATCH --mem={CORES * memory_mb}M
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@60
#SBATCH --requeue
#SBATCH --open-mode=append
export OMP_NUM_THREADS=1
told=
trap 'told=1; kill -TERM $! 2>/dev/null' TERM
{command} --processes "$SLURM_CPUS_PER_TASK" &
if [ "$told" ]; then kill -TERM $!; fi
wait $!; status=$?
while [ "$told" ]; do told=; wait $!; status=$?; done
if [ $status = 75 ]; then scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"; fi
exit $status"""


def job_manifest(run: str, parts: int, *, memory_mb: int, time_s: float) -> str:
    """Return an Indexed Job: ``parts`` pods, each with its part of the shards, for ``kubectl apply -f``.

    A pod that was handed back (75) or whose node was drained is started again and counts as no failure; 1 means that a
    disk or network failed, and 2 that the command is wrong, which another try would not change. JSON is YAML too.
    """
    name = "ctacal-batch"
    container = {
        "name": "ctacal",
        "image": IMAGE,
        "command": [
            "ctacal", "batch", "run", run, "--shard", f"kubernetes/{parts}", "--processes", str(CORES),
            *_limits(memory_mb, time_s),
        ],
        "env": [{"name": "OMP_NUM_THREADS", "value": "1"}],
        "resources": {
            "requests": {"cpu": str(CORES), "memory": f"{CORES * memory_mb}Mi"},
            "limits": {"memory": f"{CORES * memory_mb + 1024}Mi"},
        },
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }  # fmt: skip
    rules = [
        {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [2]}},
        {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [75]}},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
    ]
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "completionMode": "Indexed",
            "completions": parts,
            "parallelism": parts,
            "backoffLimitPerIndex": FAILURES,
            "maxFailedIndexes": parts,
            "podFailurePolicy": {"rules": rules},
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 30,
                    "containers": [container],
                    "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
                }
            },
        },
    }
    return json.dumps(job, indent=2)


def _limits(memory_mb: int, time_s: float) -> list[str]:
    return ["--memory-mb", str(memory_mb), "--time-s", str(math.ceil(time_s))]
