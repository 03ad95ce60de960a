"""The paper's questions: each plan differs as it says, and the machine that answers them works."""

import json
from dataclasses import replace
from functools import partial

import pytest

from pi05lite import cli
from pi05lite.errors import ConfigError
from pi05lite.lab.findings import command, estimate, figures, training, trials
from pi05lite.lab.findings.paper import PAPER
from pi05lite.lab.findings.plan import RECIPES, SHARES, STAGES, Plan, stages
from pi05lite.lab.findings.questions import QUESTIONS, STANDARD, Point, Question

SIZES = {"look": 3, "pretrain": 3, "expert": 3, "posttrain": 4, "settle": 2}


def plan_of(number, label):
    """The plan of a point."""
    return next(p.plan for p in QUESTIONS[number].points if p.label == label)


def by_kind(plan, seed=0):
    """Stage name -> stage."""
    return {s.kind: s for s in stages(plan, SIZES, seed)}


def parts(plan):
    """Every part of a source that any stage sees."""
    return {part for s in by_kind(plan).values() for part in s.shares}


# ---- plans ---------------------------------------------------------------------------------------


def test_the_standard_is_the_recipe_of_the_homes():
    made = by_kind(STANDARD)
    assert tuple(made) == STAGES and STANDARD.differs() == []
    for kind, stage in made.items():
        assert stage.shares == SHARES[kind] and stage.recipe.steps == SIZES[kind]
        usual = vars(RECIPES[kind]())
        unlike = {k for k, v in vars(stage.recipe).items() if usual[k] != v}
        assert unlike <= {"steps", "warmup", "save_every", "ema"}
    assert made["posttrain"].before is not None and made["look"].before is None


@pytest.mark.parametrize("gone", [("WD",), ("ME",), ("CE",), ("ME", "CE")])
def test_what_is_left_out_is_in_no_stage_and_all_else_stays(gone):
    plan = plan_of(2, "no " + " or ".join(gone))
    left = {part for part in parts(STANDARD) if part.split("/")[0] not in gone}
    assert parts(plan) == left
    for kind, stage in by_kind(plan).items():
        assert not set(gone) & set(stage.words)
        assert stage.shares == {p: s for p, s in SHARES[kind].items() if p in left}
        assert stage.recipe == by_kind(STANDARD)[kind].recipe
    assert plan.differs() == [f"without: {', '.join(gone)} against nothing"]


def test_the_high_level_is_left_out_whole_or_its_person_alone():
    never, no_vi = plan_of(3, "never trained"), plan_of(3, "no VI")
    assert not any(p.startswith(("HL", "VI")) for p in parts(never))
    assert parts(STANDARD) - parts(no_vi) == {"VI/high"}
    assert by_kind(no_vi)["expert"] == by_kind(STANDARD)["expert"]  # shared up to here
    assert {p.high for p in QUESTIONS[3].points if p.plan == STANDARD} == {
        "own", "none", "script", "outsider"}


def test_homes_are_counted_where_the_mobile_robot_is_trained_and_pre_training_is_shared():
    few, many = by_kind(plan_of(1, "3 homes")), by_kind(plan_of(1, "100 homes"))
    assert few["pretrain"] == many["pretrain"] and few["pretrain"].homes is None
    assert not any(p.startswith("MM") for p in few["pretrain"].shares | few["look"].shares)
    assert few["posttrain"].homes == few["expert"].homes == 3 and many["posttrain"].homes == 100
    assert not any(p.startswith(("HL", "VI")) for p in few["posttrain"].shares)
    assert replace(few["expert"], homes=100) == many["expert"]
    alone = by_kind(plan_of(1, "100 homes, no other source"))
    assert {p.split("/")[0] for s in alone.values() for p in s.shares} == {"MM"}
    assert all(s.homes == 100 for s in alone.values())


def test_flow_only_never_writes_tokens_and_learns_the_flow_from_the_start():
    plan, longer = plan_of(4, "flow only"), plan_of(4, "flow only, 3 x as long")
    made = by_kind(plan)
    assert all(s.tokens is None for s in made.values()) and "expert" not in made
    assert made["pretrain"].recipe.alpha > 0 and made["pretrain"].recipe.new_expert
    assert made["pretrain"].shares == SHARES["pretrain"]
    assert [s.recipe.steps for s in by_kind(longer).values()] == [3, 9, 12, 6]
    assert "pretrain.alpha: 10.0 against 0.0" in plan.differs()


def test_fast_only_has_no_flow_at_all():
    plan = plan_of(4, "FAST only")
    assert plan.writes and all(s.recipe.alpha == 0 for s in by_kind(plan).values())


def test_insulated_joint_and_frozen_share_what_comes_before():
    joint, apart, frozen = (by_kind(plan_of(5, n)) for n in ("joint", "insulated", "frozen"))
    assert joint["expert"] == apart["expert"] and joint["pretrain"] == frozen["pretrain"]
    unlike = {k for k, v in vars(apart["posttrain"].recipe).items()
              if vars(joint["posttrain"].recipe)[k] != v}
    assert unlike == {"insulate", "alpha"} and apart["posttrain"].recipe.alpha == 1
    assert "posttrain" not in frozen and frozen["expert"].recipe.expert_only
    late = ("expert", "posttrain", "settle")
    assert frozen["expert"].recipe.steps == sum(SIZES[k] for k in late)


def test_denoising_needs_one_policy_and_diffusion_another_expert():
    points = QUESTIONS[6].points
    assert {p.steps for p in points if p.plan == STANDARD and p.solver == "euler"} == {
        1, 2, 5, 10, 20, 50}
    other = by_kind(plan_of(6, "diffusion, 10 steps"))
    assert other["pretrain"] == by_kind(STANDARD)["pretrain"]
    assert all(other[k].diffusion for k in ("expert", "posttrain", "settle"))


def test_tokenizers_differ_from_pre_training_on_and_share_the_look():
    found = [by_kind(plan_of(7, name)) for name in ("FAST", "bins", "VQ")]
    assert [made["pretrain"].tokens for made in found] == ["FAST", "bins", "VQ"]
    assert found[0]["look"] == found[1]["look"] == found[2]["look"]


def test_every_question_has_two_seeds_200_rollouts_and_a_point_to_compare_with():
    assert command.SEEDS == (0, 1) and command.COUNT >= 200
    assert sorted(QUESTIONS) == list(range(1, 8)) == sorted(PAPER)
    for q in QUESTIONS.values():
        for suite in {p.suite for p in q.points}:
            labels = [p.label for p in q.points if p.suite == suite]
            assert q.against in labels and len(set(labels)) == len(labels)


def test_a_plan_that_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="tokens of"):
        stages(Plan(tokens="words"), SIZES, 0)
    with pytest.raises(ConfigError, match="finding"):
        command.chosen([8])


# ---- how long it takes ---------------------------------------------------------------------------


def test_the_whole_set_fits_its_hours_and_shared_work_counts_once():
    sizes = estimate.sizes_for(12, (0, 1), 100, 800)
    minutes = sum(m for _, m, _ in estimate.lines(QUESTIONS, sizes, (0, 1), 100, 800))
    assert 0.97 * 720 < minutes <= 720
    assert all(sizes[k] <= RECIPES[k]().steps for k in STAGES)
    both = estimate.lines([4, 5], sizes, (0,), 100, 800)
    apart = [estimate.lines([n], sizes, (0,), 100, 800) for n in (4, 5)]
    assert len(both) < sum(map(len, apart)) and any(len(row[2]) == 2 for row in both)
    with pytest.raises(ConfigError, match="at least"):
        estimate.sizes_for(0.1, (0, 1), 100, 800)


def test_the_estimate_is_printed_without_data(capsys):
    assert cli.main(["lab", "findings", "6", "--estimate", "--budget", "12"]) == 0
    out = capsys.readouterr().out
    assert "hours on two CPU cores" in out and "diffusion: True" in out and "1 x euler" in out
    assert cli.main(["lab", "findings", "6"]) == 2 and "--policy" in capsys.readouterr().err


# ---- the machine, on little data and in few steps ------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The six sources, an episode or a few of each."""
    from pi05lite.homes import factory

    out = tmp_path_factory.mktemp("homes")
    for name, episodes in (("MM", 17), ("ME", 6), ("CE", 9), ("WD", 11), ("HL", 1), ("VI", 1)):
        factory.make(out, (name,), episodes, workers=1, size=32, every=50, photos=False,
                     progress=False)
    return out


@pytest.fixture
def place(data, tmp_path, monkeypatch):
    """A place for nano runs; batches of four."""
    from tests.train.test_homes import small

    for kind, make in RECIPES.items():
        monkeypatch.setitem(RECIPES, kind, partial(quick, make))
    monkeypatch.setenv("PI05LITE_CACHE", str(data / ".cache"))
    return training.Place(data, tmp_path / "runs", 2, small, options=(
        ("progress", False), ("tensorboard", False), ("precision", "32-true"),
        ("accelerator", "cpu")))


def quick(make):
    """A recipe with small batches."""
    return replace(make(), batch_size=4, save_every=2)


@pytest.fixture
def question(monkeypatch):
    """One question of three points, two of which share all of their training."""
    points = (Point("standard"), Point("no person", Plan(without=("VI",))),
              Point("one step", steps=1))
    q = Question(5, "Does it work?", "standard", points, "a test", timed=True)
    monkeypatch.setattr(command, "QUESTIONS", {5: q})
    return q


def answer(place, out, **options):
    """Run the question with one block of two trials."""
    options = {"seeds": (0,), "count": 2, "sizes": SIZES, "place": place, **options}
    return command.findings([5], None, out, place.folder, tell=lambda text: None, **options)


class Cut(Exception):
    """As if the run were killed."""


def cut(*args, **options):
    """In place of work that must not be reached."""
    raise Cut


@pytest.mark.slow
def test_a_question_is_answered_cut_off_taken_up_and_not_answered_twice(
        place, question, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:  # killed before the first rollout
        patch.setattr(trials, "rollouts", cut)
        with pytest.raises(Cut):
            answer(place, tmp_path)
    runs = {f.name for f in place.folder.glob("*-*")}
    assert {name.split("-")[0] for name in runs} == set(STAGES) and len(runs) == 5
    made = {f: f.stat().st_mtime_ns for f in place.folder.rglob("model.safetensors")}
    (file,) = answer(place, tmp_path)
    assert all(f.stat().st_mtime_ns == t for f, t in made.items())
    found = json.loads(file.read_text())
    # What differs in post-training alone has trained that alone: the expert is shared.
    kinds = [f.name.split("-")[0] for f in place.folder.glob("*-*")]
    assert sorted(kinds) == sorted([*STAGES, "posttrain", "settle"])
    one, other, quick_one = found["points"]
    assert one["runs"] == quick_one["runs"] != other["runs"]
    assert one["differs"] == [] and other["differs"] == ["without: VI against nothing"]
    assert one["rollouts"] == 2 and 0 <= one["progress"]["mean"] <= 1
    assert one["success"]["other seeds"] is None  # one seed cannot say
    assert quick_one["seconds a chunk"] < one["seconds a chunk"]
    assert [d["significant"] for d in found["differences"]] == [None, None]
    assert found["steps"] == SIZES and found["versions"]["torch"] and found["seeds"] == [0]
    assert found["standard"]["posttrain"]["recipe"]["steps"] == SIZES["posttrain"]
    assert file.stat().st_size < 10_000

    with monkeypatch.context() as patch:  # nothing is trained or tried a second time
        patch.setattr(training.command, "run", cut)
        patch.setattr(trials, "rollouts", cut)
        assert answer(place, tmp_path) == [file]
        assert json.loads(file.read_text()) == found
        with pytest.raises(Cut):  # other data, steps or seeds are other runs
            answer(place, tmp_path, sizes=SIZES | {"posttrain": 5})

    # A trained policy alone, by the command: what needs training is left out and named.
    policy = place.of(stages(STANDARD, SIZES, 0)[-1])
    (given,) = command.findings([5], None, tmp_path, tmp_path / "given", count=2,
                                policies=[policy], tell=lambda text: None)
    told = json.loads(given.read_text())
    assert [p["label"] for p in told["points"]] == ["standard", "one step"]
    assert told["left out"] == ["no person, short"] and given.name == "finding_5_policy.json"
    assert told["points"][0]["success"] == one["success"]
    assert told["policies"][0]["recipe"]["stage"] == "settle"
    assert str(tmp_path) not in given.read_text()


@pytest.mark.slow
def test_training_that_was_cut_off_goes_on_from_its_checkpoint(place, monkeypatch):
    from pi05lite.train.module import TrainingModule

    steps, step = [], TrainingModule.training_step

    def seen(self, batch, index):
        steps.append((self.recipe.stage, self.trainer.global_step))
        if len(steps) == 3:
            raise Cut
        return step(self, batch, index)

    monkeypatch.setattr(TrainingModule, "training_step", seen)
    plan = Plan(stages=("look", "pretrain"))
    with pytest.raises(Cut):
        training.train(place, plan, SIZES, 0, tell=lambda text: None)
    monkeypatch.setattr(training.command, "look", cut)  # it is kept
    folder = training.train(place, plan, SIZES, 0, tell=lambda text: None)
    assert [n for _, n in steps] == [0, 1, 2, 2]
    assert training.done(folder)["facts"]["config"]["max_tokens"] == 160
    assert not list(folder.rglob("training.safetensors"))


@pytest.mark.slow
@pytest.mark.parametrize("number, label", [
    (1, "the test homes"), (4, "flow only"), (4, "FAST only"), (5, "frozen"),
    (6, "diffusion, 5 steps"), (7, "bins"), (7, "VQ")])
def test_plans_of_another_kind_train_and_act(place, number, label):
    point = next(p for p in QUESTIONS[number].points if p.label == label)
    folder = training.train(place, point.plan, SIZES, 0, tell=lambda text: None)
    load = partial(training.read_policy, folder, point.plan)
    assert len(trials.rows(load, folder, point, 1)) == 1
    policy, made = load(), by_kind(point.plan)
    made_of = type(policy.processor.actions).__name__
    assert made_of == {None: "NoneType", "FAST": "FastTokenizer", "bins": "BinsTokenizer",
                       "VQ": "VQTokenizer"}[point.plan.tokens]
    if label == "bins":
        assert policy.model.config.max_tokens == 160 + 50 * 8
    if label == "the test homes":
        card = (place.elsewhere(made["expert"])["MM"] / "MM/README.md").read_text()
        assert "of the split new, seeds 1000" in card


def test_rollouts_are_kept_block_by_block(tmp_path, monkeypatch):
    done = []

    def some(driver, made, execute, together, progress):
        if len(done) == 4:
            raise Cut
        done.extend(made)
        return [Row(len(done))] * len(made)

    monkeypatch.setattr(trials, "rollouts", some)
    monkeypatch.setattr(trials, "ready", lambda policy, point: (None, 32, {}))
    with pytest.raises(Cut):
        trials.rows(lambda: None, tmp_path, Point("x"), 6, together=2)
    done.clear()
    assert len(trials.rows(lambda: None, tmp_path, Point("x"), 6, together=2)) == 6
    assert len(done) == 2
    assert len(trials.rows(cut, tmp_path, Point("x"), 5)) == 5  # fewer are the first of them


class Row:
    """An outcome."""

    def __init__(self, number):
        self.name = str(number)

    def row(self):
        """As a dict."""
        return dict.fromkeys(trials.KEPT, 0)


# ---- results and figures -------------------------------------------------------------------------


def made_up(number, seeds=2):
    """A result of a question from made-up trials (for drawing alone)."""
    import numpy as np

    from pi05lite.lab.findings.result import differences, point_entry

    g, q = np.random.default_rng(number), QUESTIONS[number]
    rows = [[[{"success": bool(g.random() < 0.4), "progress": g.random(), "steps": 3,
               "right_first": None, "failure": ""} for _ in range(50)] for _ in range(seeds)]
            for _ in q.points]
    entries = [point_entry(p, r, ["x"]) for p, r in zip(q.points, rows)]
    for entry in entries if q.timed else ():
        entry["seconds a chunk"] = 0.1
    return {"finding": number, "question": q.text, "points": entries, "seeds": list(range(seeds)),
            "differences": differences(q, q.points, rows)}


@pytest.mark.parametrize("number", list(QUESTIONS))
def test_a_figure_shows_the_papers_numbers_and_every_point_of_ours(number):
    made = json.loads(json.dumps(made_up(number)))
    fig = figures.figure(made)
    shown = {x for trace in fig.data for x in trace.x if isinstance(x, str)}
    assert {p["label"] for p in made["points"]} <= shown
    assert {x for s in PAPER[number] for x in s.values} <= shown
    titles = " ".join(a.text for a in fig.layout.annotations)
    assert all(s.source in titles for s in PAPER[number])
    first = made["points"][0]
    mean = 100 * first[first["metric"]]["mean"]
    assert any(t.error_y.array and abs(t.y[0] - mean) < 1e-6 for t in fig.data)


def test_intervals_of_new_seeds_are_wider_and_one_seed_gives_none():
    two, one = made_up(5), made_up(5, seeds=1)
    for point in two["points"]:
        (a, b), (c, d) = point["success"]["other seeds"], point["success"]["these runs"]
        assert a <= c < d <= b
    assert all(p["success"]["other seeds"] is None for p in one["points"])
    assert all(d["significant"] is None for d in one["differences"])
    assert all(d["significant"] in (True, False) for d in two["differences"])
    assert "one seed" in figures.figure(one).layout.title.text.replace("1 seed,", "one seed")
