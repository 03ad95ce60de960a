"""How long the findings take on two CPU cores, from speeds that were measured (homes_log.md).

All of them were measured with other work on the cores, so an idle machine is rather faster. What
was not measured is marked in the table. Opening data and fitting tokenizers is not counted, nor the
pictures' one-time decoding.
"""

from pi05lite.errors import ConfigError, say
from pi05lite.lab.findings.plan import RECIPES, STAGES, stages
from pi05lite.lab.findings.questions import QUESTIONS

# Seconds of a step where the cores compute in bfloat16; of looking with its tenth of a step of
# reading and of pointing. With Muon all but settle.
STEP = {"look": 0.12, "pretrain": 0.44, "expert": 0.11, "posttrain": 0.36, "settle": 0.11}
# Not measured, but reckoned from the tokens of a sequence: 200 pictures and words, then 60 of FAST
# or 400 of bins; a flow with eight draws costs about as much as the rest of its step.
BINS, EARLY_FLOW, NO_FLOW = 2.0, 1.5, 0.6
EPISODE = 821 / 2000  # seconds to make an episode of the mobile robot
# Rollouts of an untrained policy of this size, which end by time or a drop: 16 short ones, 25 steps
# of each chunk done, took 46.5 s of a busy core; with 50 there are half the calls. Long ones are
# reckoned from their time limits, and so is what denoising steps add.
SHORT, LONG, DENOISING = 46.5 / 16 / 1.8 / 2, 7.6, 0.03


def trial_seconds(point):
    """Seconds of one rollout of a point, and whether that was measured."""
    seconds = LONG if point.suite == "long" else SHORT
    return (seconds * (1 + DENOISING * (point.steps - 10)),
            point.suite != "long" and point.steps == 10)


def factor(stage):
    """How much dearer a step of a stage is than the one that was measured: reckoned."""
    times, flow = 1.0, stage.recipe.alpha > 0
    if stage.kind in ("pretrain", "posttrain"):
        times *= BINS if stage.tokens == "bins" else 1
        times *= EARLY_FLOW if stage.kind == "pretrain" and flow else 1
        times *= NO_FLOW if stage.kind == "posttrain" and not flow else 1
    return times


def lines(numbers, sizes, seeds, count, episodes):
    """[what, minutes, numbers of the questions that need it] of all work, each once.

    sizes: stage -> steps; count: trials a seed; episodes: of each number of homes.
    """
    work = {}

    def add(key, what, seconds, number):
        work.setdefault(key, [what, seconds / 60, set()])[2].add(number)

    for number in numbers:
        for point in QUESTIONS[number].points:
            about = "; ".join(point.plan.differs()) or "the standard recipe"
            for seed in seeds:
                for stage in stages(point.plan, sizes, seed):
                    if stage.homes is not None:
                        add(("data", stage.homes), f"data of {stage.homes} homes",
                            episodes * EPISODE, number)
                    times, steps = factor(stage), stage.recipe.steps
                    add(repr(stage), f"{'' if times == 1 else '~ '}{stage.kind}, {steps} steps, "
                        f"seed {seed}: {about}", steps * times * STEP[stage.kind], number)
                trials = (repr(stage), point.suite, point.high, point.steps, point.solver)
                seconds, measured = trial_seconds(point)
                add(trials, f"{'' if measured else '~ '}{count} x {point.suite}, seed {seed}: "
                    f"{point.label}", count * seconds, number)
    return list(work.values())


def sizes_for(hours, seeds, count, episodes):
    """stage -> steps, so that all seven findings take so many hours; never more than the recipes.

    Looking keeps half of its steps, since all that follows stands on it and runs share it. Of the
    others post-training is shortened first: it is the longest by far, and learns little from a VLM
    that finds nothing.
    """
    def made(share):
        most = min(1, 4 * share)
        kept = {"look": 0.5, "pretrain": most, "expert": most, "settle": most}
        return {k: max(10, round(kept.get(k, share) * RECIPES[k]().steps)) for k in STAGES}

    def total(share):
        return sum(row[1] for row in lines(QUESTIONS, made(share), seeds, count, episodes))

    low, high = 0.0, 1.0
    if total(low) > 60 * hours:
        raise ConfigError(say("budget", f"at least {total(low) / 60:.1f} hours", f"{hours:g}",
                              "ask for fewer rollouts (--count), or give it more hours"))
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (middle, high) if total(middle) <= 60 * hours else (low, middle)
    return made(low)


def table(work):
    """The work as text, with its sum."""
    rows = [f"{minutes:7.1f}  {','.join(map(str, sorted(numbers))):<14} {what}"
            for what, minutes, numbers in work]
    total = sum(minutes for _, minutes, _ in work)
    return "\n".join(["minutes  findings       what", *rows,
                      f"{total:7.1f}  = {total / 60:.1f} hours on two CPU cores; ~: reckoned from "
                      "others, not measured"])
