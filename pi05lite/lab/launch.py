"""Runs of a sweep elsewhere: processes on this machine, one a device, or jobs of a SLURM cluster.

submitit does the work: pip install -c constraints.txt -e ".[sweep]". Each run writes its own result
file, so whatever is cut off is taken up by calling `compare` again.
"""

from concurrent.futures import ThreadPoolExecutor
from queue import Queue


def spread(executor, devices=None, together=None):
    """A launcher for `compare` that hands every run to a submitit executor.

    devices: Lightning devices of this machine that take turns, e.g. [0, 1, 2, 3], for a
    submitit.LocalExecutor; None for SLURM, where each job has its own. together: how many runs at a
    time (None: one a device, or all).
    """
    free = Queue()
    for device in devices or []:
        free.put(device)

    def one(job):
        if not devices:
            return executor.submit(job).result()
        device = free.get()
        try:
            return executor.submit(job, devices=[device], accelerator="gpu").result()
        finally:
            free.put(device)

    def launch(jobs):
        """Run all jobs and wait; the first error is raised after the others are through."""
        with ThreadPoolExecutor(together or len(devices or jobs)) as pool:
            for done in [pool.submit(one, job) for job in jobs]:
                done.result()
    return launch
