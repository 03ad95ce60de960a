"""The six sources: whole, the same from a seed, resumable, readable as training examples."""

import json
from hashlib import blake2b

import mujoco
import numpy as np
import pytest

from pi05lite import cli
from pi05lite.data.mixture import Mixture
from pi05lite.errors import DataError
from pi05lite.homes import factory
from pi05lite.homes.kinds import HELD_OUT_KINDS, KINDS
from pi05lite.homes.pictures import pictures
from pi05lite.homes.record import furniture, record, seen_by
from pi05lite.homes.robots import ROBOTS
from pi05lite.homes.sight import sights
from pi05lite.homes.sources import HomeSource, WordsSource, describe_home_robot, open_home_data
from pi05lite.homes.tasks import Episode, Request


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with one or two episodes of each robot source and 8 of WD."""
    out = tmp_path_factory.mktemp("data")
    factory.make(out, ("MM", "ME", "CE"), 8, workers=1, progress=False)
    factory.make(out, ("WD",), 40, workers=1, photos=False, progress=False)
    return out


def digest(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): blake2b(p.read_bytes()).hexdigest() for p in files}


def open_(made, name, tmp_path_factory):
    return open_home_data(made, name, cache=tmp_path_factory.mktemp("cache"))


def test_an_episode_has_actions_at_50_hz_and_pictures_when_a_model_is_called():
    e = record(Request("pick", 3, "train", 3), every=25, size=32, style=1)
    frames = len(e["state"])
    assert len(e["action"]) == 25 * frames and e["action"].shape[1] == 7
    assert {k: v.shape for k, v in e["images"].items()} == {
        f"observation.images.{c}": (frames, 32, 32, 3) for c in ("head", "wrist", "surround")}
    assert e["meta"]["success"] and set(e["texts"]) == {
        "subtask", "boxes", "things", "things.wrist", "things.surround", "furniture", "odometry"}
    assert set(e["texts"]["subtask"]) == {Episode(task="pick", home=3, seed=3).usual.say(
        Episode(task="pick", home=3, seed=3).first)}


def test_the_recorded_start_is_the_episode_as_it_starts():
    e = record(Request("put", 5, "train", 5), size=32, style=1)
    world = Episode(task="put", home=5, seed=5).world
    assert np.array_equal(e["images"]["observation.images.head"][0], world.images(32)["head"])
    assert np.array_equal(e["state"][0], world.state())


def test_boxes_name_what_the_subtask_is_about():
    e = record(Request("put", 5, "train", 5), size=64, style=1)
    episode = Episode(task="put", home=5, seed=5)
    place = episode.home.pieces[episode.goals[0].piece].names[0]
    names = {name for cell in e["texts"]["boxes"] for name, _ in json.loads(cell)}
    assert names <= {episode.things[0].name, place} and place in names
    for cell in e["texts"]["things"]:
        for name, (y0, x0, y1, x1) in json.loads(cell):
            assert name in [t.name for t in episode.things] + ["drawer"]
            assert 0 <= y0 < y1 <= 1 and 0 <= x0 < x1 <= 1


def test_every_camera_says_what_it_sees():
    e = record(Request("pick", 4, "train", 4), size=64, style=1)
    episode = Episode(task="pick", home=4, seed=4)
    held = [{name: box for name, box in json.loads(cell)} for cell in e["texts"]["things.wrist"]]
    assert {name for cell in held for name in cell} <= {t.name for t in episode.things} | {
        "drawer"}
    y0, x0, y1, x1 = held[-1][episode.things[episode.target].name]  # in the hand at the end
    assert y0 < 0.9 and 0.2 < (x0 + x1) / 2 < 0.8
    names = [piece.names[0] for piece in episode.home.pieces]
    for cell in e["texts"]["things.surround"]:
        for name, (_, x0, _, x1) in json.loads(cell):
            assert names.count(name) == 1 and 0 <= x0 < x1 <= 1 and x1 - x0 < 1
    before = [dict(json.loads(cell)) for cell in e["texts"]["furniture"]]  # seen by the head
    assert all(names.count(name) == 1 for cell in before for name in cell) and any(before)
    e = record(Request("go", 4, "train", 4), size=64, style=1)
    there = json.loads(e["texts"]["boxes"][-1])  # what it went to is in both, and the same
    assert len(there) == 1 and there[0] in json.loads(e["texts"]["furniture"][-1])


def test_stains_and_drawers_have_boxes_where_a_subtask_is_about_them():
    e = record(Request("wipe", 7, "train", 7), size=64, style=1)
    assert set(e["texts"]["subtask"]) == {"wipe the stains off the table"}
    found = [dict(json.loads(cell)) for cell in e["texts"]["boxes"]]
    assert all("table" in cell for cell in found)
    sizes = [(y1 - y0) * (x1 - x0) for cell in found if "stains" in cell
             for y0, x0, y1, x1 in [cell["stains"]]]
    assert sizes[-1] < sizes[0] / 2 and "stains" not in found[-1]  # fewer and fewer, then none
    assert any("stains" in dict(json.loads(cell)) for cell in e["texts"]["things.wrist"])
    e = record(Request("close", 9, "train", 9), size=64, style=1)
    boxes = [dict(json.loads(cell)) for cell in e["texts"]["boxes"]]
    assert all(set(cell) <= {"drawer"} for cell in boxes)
    opened, shut = boxes[0]["drawer"], boxes[-1]["drawer"]
    assert shut[0] < opened[0]  # it went away from the robot, so up in the picture


def test_the_furniture_behind_a_robot_is_boxed_on_one_side_of_the_seam():
    """Seen all round: what the seam of a panorama cuts has a box of its larger part."""
    episode = Episode(task="go", home=3, seed=3)
    size, cut = 64, 0
    for heading in np.linspace(-3, 3, 25):
        x, y, _ = episode.world.base
        episode.world.data.qpos[2] = heading - episode.world.start[2]
        mujoco.mj_forward(episode.world.model, episode.world.data)
        _, geom = episode.world.camera.picture(episode.world.data, "surround", size)
        owner = np.where(geom >= 0, episode.scene.piece_of[geom], -1)
        for name, (_, x0, _, x1) in furniture(episode, geom):
            p, = (k for k, piece in enumerate(episode.home.pieces) if piece.names[0] == name)
            columns = np.flatnonzero((owner == p).any(0))
            if columns[0] > 0 or columns[-1] < size - 1:
                assert np.allclose((x0, x1), columns[[0, -1]] / size + (0, 1 / size), atol=1e-4)
                continue
            cut += 1
            half = (owner == p)[:, :size // 2].sum(), (owner == p)[:, size // 2:].sum()
            assert (x1 <= 0.5) == (half[0] > half[1]) and x1 - x0 <= 0.5
    assert cut > 0


@pytest.mark.parametrize(("robot", "task"), [("mobile", "pick"), ("mobile", "go"),
                                             ("arm", "put"), ("two_arm", "pick")])
def test_a_body_that_is_knocked_aside_comes_back(robot, task, monkeypatch):
    request = Request(task, 6, "train", 6, robot)
    monkeypatch.setattr("pi05lite.homes.record.KNOCKED", 0.0)
    calm = record(request, size=16, style=2)
    monkeypatch.setattr("pi05lite.homes.record.KNOCKED", 1.0)
    knocked = record(request, size=16, style=2)
    n = min(len(calm["state"]), len(knocked["state"]))
    off = np.abs(calm["state"][:n] - knocked["state"][:n]).max(0)
    assert knocked["meta"]["success"] and n > 3
    assert (off > 0.1 * np.ptp(calm["state"][:n], axis=0)).any()
    assert np.array_equal(record(request, size=16, style=2)["action"], knocked["action"])


def test_a_knock_closes_an_empty_hand_and_what_is_recorded_opens_it(monkeypatch):
    monkeypatch.setattr("pi05lite.homes.record.KNOCKED", 1.0)
    monkeypatch.setattr("pi05lite.homes.record.CLENCHED", 1.0)
    for robot, opening, gripper in (("mobile", [3], [6]), ("arm", [3], [3]),
                                    ("two_arm", [3, 7], [3, 7])):
        asked = 0
        wide = 0.0 if robot == "mobile" else ROBOTS[robot].action_high[gripper[0]]
        for seed in range(6):
            e = record(Request("pick", seed, "train", seed, robot), every=5, size=16, style=seed)
            assert e["meta"]["success"]
            state, action = e["state"][:, opening], e["action"][::5, gripper]
            asked += ((state < 0.3 * state.max()) & np.isclose(action, wide)).sum()
        assert asked > 5, robot


def test_near_a_hand_a_drawer_is_its_knob_and_stains_are_the_nearest():
    episode = Episode(task="close", home=9, seed=9)
    world, (head, wrist) = episode.world, episode.robot.cameras[:2]
    p = episode.station
    knob = world.to_base(world.from_piece(p, world.knob(p)))
    world.data.qpos[world._hand_q[0]] = knob + (0, 0, 0.1)
    mujoco.mj_forward(world.model, world.data)
    seen = {c.name: dict(seen_by(episode, c, world.camera.picture(world.data, c.name, 64)[1]))
            for c in (head, wrist)}
    area = {name: (y1 - y0) * (x1 - x0) for name, (y0, x0, y1, x1) in
            ((name, boxes["drawer"]) for name, boxes in seen.items())}
    sight = sights("mobile", {"left_wrist": "wrist"}, world.state(), world)["left_wrist"]
    u, v = sight.project(knob - (0, 0, 0.025))  # the middle of the knob
    y0, x0, y1, x1 = seen["wrist"]["drawer"]
    assert y0 - 0.03 < v < y1 + 0.03 and x0 - 0.03 < u < x1 + 0.03 and area["wrist"] < 0.1

    episode = Episode(task="wipe", home=7, seed=7)
    world, boxes = episode.world, []
    for stain in episode.stains:
        place = world.to_base(np.array(stain))
        world.data.qpos[world._hand_q[0]] = place + (0, 0, 0.3)
        mujoco.mj_forward(world.model, world.data)
        geom = world.camera.picture(world.data, "wrist", 64)[1]
        sight = sights("mobile", {"left_wrist": "wrist"}, world.state(), world)["left_wrist"]
        u, v = sight.project(place)
        near = dict(seen_by(episode, wrist, geom)).get("stains")
        if near is not None and 0 < u < 1 and 0 < v < 1:
            y0, x0, y1, x1 = near
            boxes.append(y0 - 0.04 < v < y1 + 0.04 and x0 - 0.04 < u < x1 + 0.04)
    assert sum(boxes) > 1 and np.mean(boxes) > 0.7  # a sponge in the hand hides some


def test_a_person_finds_new_words_for_each_subtask():
    e = record(Request("drawer", 2, "train", 2), every=50, size=16, voice="person", style=1)
    usual = record(Request("drawer", 2, "train", 2), every=50, size=16, style=1)
    assert len(e["state"]) == len(usual["state"])
    assert e["texts"]["subtask"] != usual["texts"]["subtask"]
    verbs = {text.split(" the ")[0] for text in e["texts"]["subtask"]}
    assert len(verbs) > len({t.split(" the ")[0] for t in usual["texts"]["subtask"]}) - 1


def test_sources_are_lerobot_datasets_with_a_card(made, tmp_path_factory):
    for name, robot, size in (("MM", "mobile", 7), ("ME", "arm", 4), ("CE", "two_arm", 8)):
        dataset = open_(made, name, tmp_path_factory)
        assert (dataset.version, dataset.robot, dataset.action_size) == ("v3.0", robot, size)
        assert dataset.fps * dataset.steps == 50 and dataset.steps == 25
        assert all(e.meta["success"] and e.meta["split"] == "train" for e in dataset.episodes)
        card = (made / name / "README.md").read_text()
        assert f"# {name}:" in card and "seed" in card and "known kinds only" in card
        assert ("--homes 20" in card) == (name == "MM") and "--every 25" in card
    assert not [p for p in made.iterdir() if p.name.startswith(".")]


def test_examples_of_every_level_come_out(made, tmp_path_factory):
    dataset = open_(made, "MM", tmp_path_factory)
    robot = describe_home_robot(dataset)
    low = HomeSource(dataset, robot, 50)
    example = low[0]
    assert example.actions.shape == (50, 7) and set(example.images) == {
        "base", "left_wrist", "right_wrist"}
    assert np.array_equal(example.actions, dataset.actions(0)[:50])
    assert example.text == dataset.column(0, "subtask")[0]
    high = HomeSource(dataset, robot, 50, "high")[0]
    assert high.answer == example.text and high.text == dataset.episodes[0].tasks[0]
    assert all(len(box) == 4 for _, box in high.objects)
    words = WordsSource(open_(made, "WD", tmp_path_factory))
    assert len(words) == 8 * 20
    found = [words[i] for i in range(len(words))]
    assert all(bool(e.answer) is not bool(e.objects) for e in found)
    mixture = Mixture([low, words], {low.name: 1, words.name: 3})
    assert {mixture[i].source for i in range(20)} == {"MM/low", "WD"}


def test_pictures_show_kinds_that_no_robot_data_has():
    text = " ".join(" ".join([*e["texts"]["question"], *e["texts"]["answer"],
                              *e["texts"]["boxes"]])
                    for e in (pictures(40_000 + i, size=16) for i in range(8)))
    named = [k for k in HELD_OUT_KINDS if any(name in text for name in KINDS[k].names)]
    assert len(named) > 8
    questions = text.count("?")
    assert questions > 20 and text.count("caption en") > 15 and text.count("detect") > 40


def test_answers_are_true():
    for seed in range(5):
        e = pictures(seed, 12, 48)["texts"]
        for question, answer, cell in zip(e["question"], e["answer"], e["boxes"]):
            if question.startswith("detect"):
                names = [name for name, _ in json.loads(cell)]
                assert question == "detect " + " ; ".join(names) and names == sorted(names)
            elif question.startswith("do you see"):
                assert answer in ("yes", "no")
            elif question.startswith("what color"):
                assert answer in {c for k in KINDS.values() for c in k.colors}


def test_a_seed_gives_the_same_bytes_however_it_is_made(tmp_path):
    options = {"sources": ("ME", "WD"), "episodes": 15, "size": 16, "photos": False,
               "progress": False}
    factory.make(tmp_path / "a", workers=1, **options)
    real, done = factory._episode, []

    def stops(source, i, size, seed):
        done.append(i)
        if len(done) == 6:
            raise KeyboardInterrupt
        return real(source, i, size, seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(factory, "_episode", stops)
        with pytest.raises(KeyboardInterrupt):
            factory.make(tmp_path / "b", workers=1, **options)
    assert not (tmp_path / "b" / "ME").exists()
    again = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(factory, "_episode", lambda *a: again.append(a) or real(*a))
        factory.make(tmp_path / "b", workers=1, **options)
    assert len(again) == 8 - 5  # two jobs were kept
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    factory.make(tmp_path / "c", workers=1, seed=1, **options)
    assert digest(tmp_path / "a") != digest(tmp_path / "c")


def test_data_can_come_from_the_test_homes_on_purpose(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(factory, "record", lambda request, *a, **b: asked.append(request))
    usual, _ = factory._plan("MM", 100, 3, None)
    test, _ = factory._plan("MM", 100, 5, None, "new", 1_000_000)
    for source in (usual, test):
        for i in range(20):
            factory._episode(source, i, 32, 0)
    assert {(r.split, r.home) for r in asked[:20]} == {("train", h) for h in range(3)}
    assert {(r.split, r.home) for r in asked[20:]} == {("new", 1_000_000 + h) for h in range(5)}
    assert factory.SOURCES["MM"].split == "train" and factory.SOURCES["MM"].first == 0



@pytest.mark.slow
def test_processes_give_the_same_bytes(tmp_path):
    options = {"sources": ("ME", "WD"), "episodes": 24, "size": 16, "photos": False,
               "progress": False}
    factory.make(tmp_path / "a", workers=1, **options)
    factory.make(tmp_path / "b", workers=2, **options)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")


def test_the_command_writes_data_and_leaves_what_is_there(tmp_path, capsys):
    command = ["homes", "data", str(tmp_path), "--sources", "WD", "--episodes", "5", "--size",
               "16", "--workers", "1", "--no-photos"]
    assert cli.main(command) == 0 and "ready" in capsys.readouterr().out
    before = digest(tmp_path)
    assert cli.main(command) == 0 and digest(tmp_path) == before


@pytest.mark.parametrize("changes, message", [
    ({"sources": ("XX",)}, "source"), ({"episodes": 0}, "episodes"), ({"every": 0}, "every"),
    ({"homes": 0}, "homes")])
def test_impossible_orders_are_refused(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        factory.make(tmp_path / "out", **{"progress": False, "workers": 1} | changes)
    assert not (tmp_path / "out").exists()


def test_a_missing_source_says_how_to_make_it(tmp_path):
    with pytest.raises(DataError, match="pi05lite homes data"):
        open_home_data(tmp_path, "MM")


def test_photographs_join_the_pictures_with_words(tmp_path, monkeypatch):
    from PIL import Image

    cards = tmp_path / "vl" / "playing_cards"
    cards.mkdir(parents=True)
    Image.new("RGB", (40, 20), (200, 0, 0)).save(cards / "a.jpg")
    row = {"image": "a.jpg", "split": "train", "width": 40, "height": 20,
           "objects": [{"label": "king", "box_xyxy_norm": [0.25, 0.0, 0.75, 1.0]}]}
    (cards / "boxes.jsonl").write_text(json.dumps(row) + "\n")
    monkeypatch.setenv("PI05LITE_DATA", str(tmp_path))
    monkeypatch.setenv("PI05LITE_DOWNLOADS", str(tmp_path / "none"))
    factory.make(tmp_path / "out", ("WD",), 5, size=16, workers=1, progress=False)
    words = WordsSource(open_home_data(tmp_path / "out", "WD", 16, tmp_path / "cache"))
    last = words[len(words) - 1]
    assert len(words) == 21 and last.text == "detect king" and last.answer is None
    assert last.objects == [("king", (0.25, 0.25, 0.75, 0.75))]  # padded square
    assert "playing_cards" in (tmp_path / "out" / "WD" / "README.md").read_text()


def test_examples_become_batches_of_the_model(made, tmp_path_factory):
    from dataclasses import replace

    from pi05lite import config
    from pi05lite.processor import Processor
    from pi05lite.tokens.text import TextTokenizer

    dataset = open_(made, "MM", tmp_path_factory)
    robot = describe_home_robot(dataset)
    low, high = (HomeSource(dataset, robot, 50, level) for level in ("low", "high"))
    words = WordsSource(open_(made, "WD", tmp_path_factory))
    corpus = [high[i].answer for i in range(len(high))] + [high[0].text] + [
        f"{words[i].text} {words[i].answer or ''}" for i in range(len(words))]
    c = replace(config.tiny(), cameras=("base", "left_wrist", "right_wrist"))
    processor = Processor(c, TextTokenizer.train(corpus, 600), None, {"mobile": robot})
    batch = processor.collate([low[0], high[0], words[0], words[1]])
    assert batch.images.shape == (4, 3, 3, 64, 64) and batch.tokens.shape[1] <= c.max_tokens
    assert batch.action_mask[0, :25, :7].all() and not batch.action_mask[1:].any()
    assert batch.target[1:].any(dim=1).all()
    assert batch.actions.abs().max() <= 1
