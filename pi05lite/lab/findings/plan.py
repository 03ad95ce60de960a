"""A plan: one trained policy, told by what differs from the standard recipe in homes."""

from dataclasses import dataclass, field, fields, replace

from pi05lite.errors import ConfigError, say
from pi05lite.train import homes, recipe
from pi05lite.train.command import LOOKED_AT

STAGES = ("look", "pretrain", "expert", "posttrain", "settle")
LATE = STAGES[2:]  # those with actions by flow
RECIPES = {"look": recipe.home_look, "pretrain": recipe.home_pretrain,
           "expert": recipe.home_expert, "posttrain": recipe.home_posttrain,
           "settle": recipe.home_settle}
SHARES = {"look": LOOKED_AT, **homes.SHARES}
TOKENS = ("FAST", "bins", "VQ", None)


@dataclass(frozen=True)
class Plan:
    """What differs from the standard recipe; Plan() is the standard itself.

    without: sources or parts of them ("WD", "MM/things") that no stage sees; late, early: that
    post-training alone, or what comes before it, does not see; homes: the mobile robot's data (MM)
    comes from so many homes, or from "test" homes (None: as it lies in the data folder); tokens:
    action tokens of pre-training, None for none; stages: those that are run; longer: times the
    steps of all stages but the first; changes: stage -> numbers of its recipe; diffusion: the
    expert learns by diffusion in place of flow; writes: the policy writes its actions as tokens.
    """

    without: tuple = ()
    early: tuple = ()
    late: tuple = ()
    homes: int | str | None = None
    tokens: str | None = "FAST"
    stages: tuple = STAGES
    longer: int = 1
    changes: dict = field(default_factory=dict)
    diffusion: bool = False
    writes: bool = False

    def differs(self):
        """What differs from the standard recipe, a readable line each."""
        lines, standard = [], Plan()
        for f in fields(self):
            mine, usual = getattr(self, f.name), getattr(standard, f.name)
            if mine == usual:
                continue
            if f.name == "changes":
                lines += [f"{stage}.{name}: {value} against {vars(RECIPES[stage]())[name]}"
                          for stage, numbers in mine.items() for name, value in numbers.items()]
            else:
                lines.append(f"{f.name}: {plain(mine)} against {plain(usual)}")
        return lines

    def shares(self, stage):
        """Part of a source -> share of the examples, as in `homes.SHARES`; not summing to 1."""
        gone = {*self.without, *(self.late if stage in LATE else self.early)}
        return {part: share for part, share in SHARES[stage].items()
                if part not in gone and part.split("/")[0] not in gone}


def plain(value):
    """A value of a plan in words."""
    if isinstance(value, tuple):
        return ", ".join(value) or "nothing"
    return "as it is" if value is None else str(value)


@dataclass(frozen=True)
class Stage:
    """One stage of a plan with a seed: all that a training run depends on beside data and code."""

    kind: str  # one of STAGES
    recipe: recipe.Recipe
    shares: dict
    homes: int | str | None
    tokens: str | None
    diffusion: bool
    words: tuple  # sources whose words the text tokenizer knows
    before: "Stage | None"

    @property
    def seed(self):
        """Of weights, data and noise."""
        return self.recipe.seed

    def facts(self):
        """As plain values, the stages before it included."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        return own | {"recipe": vars(self.recipe), "before": self.before and self.before.facts()}


def stages(plan, sizes, seed):
    """The stages of a plan, in order; the last is the policy. sizes: stage -> steps."""
    if plan.tokens not in TOKENS or not set(plan.stages) <= set(STAGES):
        raise ConfigError(say("plan", f"tokens of {TOKENS}, stages of {STAGES}",
                              f"{plan.tokens!r}, {plan.stages}", "choose among these"))
    made, before = [], None
    words = tuple(dict.fromkeys(part.split("/")[0] for part in plan.shares("pretrain")))
    for kind in (k for k in STAGES if k in plan.stages):
        look = kind == "look"
        steps = sizes[kind] * (1 if look else plan.longer)
        if kind == "expert":  # a frozen VLM: the expert has all of post-training
            steps += sum(sizes[k] for k in ("posttrain", "settle") if k not in plan.stages)
        shares = plan.shares(kind)
        before = Stage(
            kind, replace(sized(RECIPES[kind](), steps), seed=seed, **plan.changes.get(kind, {})),
            shares, plan.homes if any(p.startswith("MM") for p in shares) else None,
            None if look else plan.tokens, plan.diffusion and kind in LATE,
            words, before)
        made.append(before)
    return made


def sized(r, steps):
    """A recipe with another number of steps; what is counted in steps shrinks with them."""
    share = min(1, steps / r.steps)
    ema = r.ema and max(0.8, 1 - (1 - r.ema) / share)
    return replace(r, steps=steps, warmup=max(1, round(r.warmup * share)), ema=ema,
                   save_every=max(1, min(r.save_every, steps)))
