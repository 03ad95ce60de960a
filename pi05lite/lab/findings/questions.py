"""The seven questions of pi0.5's experiments, as plans and what is measured of them.

Every question is read as "one thing differs": what else could have been left out with it stays.
"""

from dataclasses import dataclass, replace

from pi05lite.lab.findings.plan import Plan

STANDARD = Plan()


@dataclass(frozen=True)
class Point:
    """A plan and how it is tried: one point of a figure.

    suite: of `pi05lite evaluate`; high: where subtasks come from; steps, solver: of denoising.
    """

    label: str
    plan: Plan = STANDARD
    suite: str = "short"
    high: str = "none"  # the skill as the prompt says it
    steps: int = 10
    solver: str = "euler"

    @property
    def metric(self):
        """What is drawn: the score of a long task, the success of a short one."""
        return "progress" if self.suite == "long" else "success"


@dataclass(frozen=True)
class Question:
    """A finding to be looked for and its points; against: the label that others are compared with
    in each suite."""

    number: int
    text: str
    against: str
    points: tuple
    note: str = ""
    timed: bool = False  # also seconds a chunk


def places():
    """Finding 1: more homes, and what they are worth alone. Pre-training has no MM, as Fig. 8."""
    alone = ("ME", "CE", "HL", "VI", "WD")
    mixed = dict(early=("MM",), late=("HL", "VI"))
    return Question(1, "Does success in new homes rise with the number of training homes?",
                    "100 homes", (
        *(Point(f"{n} homes", Plan(homes=n, **mixed)) for n in (3, 12, 30, 100)),
        Point("the test homes", Plan(homes="test", **mixed)),
        Point("100 homes, no other source", Plan(homes=100, without=alone))),
        note="As many episodes of the mobile robot in each, none of them in pre-training but where "
             "it is the only source; post-training without HL and VI, which come from other homes.")


LEFT_OUT = {"all sources": (), "no WD": ("WD",), "no ME": ("ME",), "no CE": ("CE",),
            "no ME or CE": ("ME", "CE")}


def mixture():
    """Finding 2: sources left out of every stage; long tasks, and things named, known and new."""
    return Question(2, "What does each source do for long tasks and for following language?",
                    "all sources", tuple(
        Point(label, Plan(without=gone), suite, "own" if suite == "long" else "none")
        for suite in ("long", "language", "language_new") for label, gone in LEFT_OUT.items()),
        note="Progress in long tasks by its own high level; the named one of "
        "five things by the prompt alone, kinds known from robots (language) and from WD alone "
        "(language_new).")


def high_level():
    """Finding 3: who says what to do next, in long tasks."""
    trained = {"own high level": "own", "implicit: trained, not used": "none",
               "a script (human)": "script", "an outsider": "outsider"}
    return Question(3, "What is the high level worth in long tasks?", "own high level", (
        *(Point(label, STANDARD, "long", high) for label, high in trained.items()),
        Point("never trained", Plan(without=("HL", "VI", "MM/high")), "long", "none"),
        Point("no VI", Plan(without=("VI",)), "long", "own"),
        Point("no WD", Plan(without=("WD",)), "long", "own")),
        note="The outsider is a fixed list of subtasks in good order, without looking "
             "(drivers.outsider); in the paper it was GPT-4, which looked.")


FLOW_FIRST = Plan(tokens=None, stages=("look", "pretrain", "posttrain", "settle"), changes={
    "pretrain": {"alpha": 10.0, "flow_draws": 2, "expert_rate": 4.0, "new_expert": True}})


def tokens_first():
    """Finding 4: are action tokens a better start than the flow itself? Words stay in all."""
    return Question(4, "Is it worth while to pre-train on FAST tokens?", "FAST, then flow", (
        Point("FAST, then flow"), Point("flow only", FLOW_FIRST),
        Point("flow only, 3 x as long", replace(FLOW_FIRST, longer=3)),
        Point("FAST only", Plan(stages=("look", "pretrain", "posttrain"), writes=True,
                                changes={"posttrain": {"alpha": 0.0}}))),
        note="Flow only: the flow loss in place of action tokens in both stages, the same examples "
             "and steps; the expert has no stage of its own before post-training then.")


def insulation():
    """Finding 5: may the flow loss change the VLM? Frozen: the expert has all steps alone."""
    return Question(5, "Does the expert's gradient help or harm the VLM?", "joint", tuple(
        Point(label, plan, suite) for suite in ("short", "language") for label, plan in {
            "joint": STANDARD,
            "insulated": Plan(changes={"posttrain": {"insulate": True, "alpha": 1.0}}),
            "frozen": Plan(stages=("look", "pretrain", "expert"))}.items()),
        note="Insulated with alpha 1 (arXiv 2505.23705), joint with 10. Frozen: the stage of the "
             "expert alone, which gets the steps of all post-training.")


def denoising():
    """Finding 6: how many steps, which solver; flow against diffusion."""
    euler = tuple(Point(f"{n} x euler", steps=n) for n in (1, 2, 5, 10, 20, 50))
    other = tuple(Point(f"{n} x {solver}", steps=n, solver=solver)
                  for solver in ("midpoint", "heun") for n in (1, 5))
    return Question(6, "How many denoising steps, and which solver?", "10 x euler", (
        *euler, *other, *(Point(f"diffusion, {n} steps", Plan(diffusion=True), steps=n)
                          for n in (5, 10, 50))), timed=True,
        note="Midpoint and heun ask the expert twice a step: 5 of them cost what 10 euler steps "
             "cost.")


def tokenizers():
    """Finding 7: what pre-training writes actions with."""
    return Question(7, "Which action tokens are the better start?", "FAST", tuple(
        Point(name, Plan(tokens=name), suite)
        for suite in ("short", "language") for name in ("FAST", "bins", "VQ")),
        note="All act by flow in the end. Bins take 400 tokens a chunk and get the room for it.")


QUESTIONS = {q.number: q for q in (places(), mixture(), high_level(), tokens_first(), insulation(),
                                   denoising(), tokenizers())}
