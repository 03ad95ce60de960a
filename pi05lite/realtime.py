"""Execute a chunk while the next one is computed, so that the robot never stands still to think.

    step          0 ... s            s + d
    last chunk    executed . . . . . handed over
    next chunk              computed executed from its step d on

The next chunk is asked for when s steps of the last one are done; d steps later it takes over. It
is made to begin with those d steps (real-time chunking, arXiv 2506.07339).
"""

import math
import time
from concurrent.futures import ThreadPoolExecutor, wait

from pi05lite.errors import ConfigError, say


class RealtimePolicy:
    """Gives one action a step, and computes the next chunk beside it.

    execute: s, steps between two askings; delay: d, steps that computing may take, see
    `measured_delay`. What comes out depends on d alone, not on how fast the machine was: where a
    chunk is not ready in time the step waits for it, and `late` counts that.
    """

    def __init__(self, policy, execute=25, delay=4, seed=0):
        horizon = policy.model.config.horizon
        if not 0 <= delay < execute <= horizon - delay:
            raise ConfigError(say("real-time chunking", "0 <= delay < execute <= horizon - delay "
                                  f"= {horizon - delay}", f"delay {delay}, execute {execute}",
                                  "choose a smaller delay, or execute about half of the horizon"))
        self.policy, self.execute, self.delay, self.seed = policy, execute, delay, seed
        self.worker = ThreadPoolExecutor(1, thread_name_prefix="next-chunk")
        self.pending = None
        self.reset()

    def reset(self):
        """Forget the running chunk and subtask, at the start of an episode."""
        if self.pending is not None:
            wait([self.pending])
        self.policy.reset()
        self.chunk, self.pending, self.clock, self.asked, self.late = None, None, 0, 0, 0

    def step(self, observation, prompt):
        """The action (A',) for now, in the robot's units; the first call waits for its chunk."""
        if self.chunk is None:
            self.chunk = self.ask(observation, prompt).result()
        if self.clock == self.execute:
            rest = self.chunk.actions[self.execute:]
            self.pending = self.ask(observation, prompt, rest, self.delay)
        if self.clock == self.execute + self.delay:
            self.late += not self.pending.done() and self.delay > 0
            self.chunk, self.pending, self.clock = self.pending.result(), None, self.delay
        self.clock += 1
        return self.chunk.actions[self.clock - 1]

    def ask(self, observation, prompt, previous=None, delay=0):
        """Start to compute a chunk beside the control loop; each has a seed of its own."""
        self.asked += 1
        return self.worker.submit(self.policy.act, observation, prompt,
                                  self.seed + self.asked - 1, previous, delay)


def measured_delay(policy, observation, prompt, tries=3):
    """The steps that computing a chunk takes here: the slowest of some tries, rounded up.

    Each try renews the subtask as well, as the slowest chunk does.
    """
    seconds, previous = [], policy.act(observation, prompt).actions
    for _ in range(tries):
        policy.reset()
        start = time.perf_counter()
        policy.act(observation, prompt, previous=previous)
        seconds.append(time.perf_counter() - start)
    policy.reset()
    return math.ceil(max(seconds) * policy.processor.robot(observation.robot).fps)
