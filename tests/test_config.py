"""A config survives its JSON form and refuses sizes that cannot work together."""

import dataclasses
import json

import pytest

from pi05lite import config
from pi05lite.config import Config, differences
from pi05lite.errors import ConfigError

PRESETS = [config.nano, config.tiny, config.small, config.pi05]


@pytest.mark.parametrize("preset", PRESETS)
def test_json_round_trip(preset):
    c = dataclasses.replace(preset(), tau_max=0.9, horizon=7)
    again = Config.from_json(c.to_json())
    assert again == c and again != preset()
    assert hash(again) == hash(c)  # lists in the JSON became tuples again


def test_json_is_plain_and_complete():
    values = json.loads(config.nano().to_json())
    assert values["vision"]["image_size"] == 28 and values["vocabulary"]["locations"] == 64
    assert set(values) == {f.name for f in dataclasses.fields(Config)}


@pytest.mark.parametrize("path", [("horizons",), ("vlm", "layers"), ("vocabulary", "words")])
def test_json_with_an_unknown_name_is_refused(path):
    values = json.loads(config.nano().to_json())
    place = values[path[0]] if len(path) > 1 else values
    place[path[-1]] = 3
    with pytest.raises(ConfigError, match=path[-1]):
        Config.from_json(json.dumps(values))


@pytest.mark.parametrize("path", [("vision",), ("cameras",), ("expert", "width")])
def test_json_with_a_missing_name_is_refused(path):
    values = json.loads(config.nano().to_json())
    del (values[path[0]] if len(path) > 1 else values)[path[-1]]
    with pytest.raises(ConfigError, match=path[-1]):
        Config.from_json(json.dumps(values))


def test_json_is_checked_as_a_new_config_is():
    values = json.loads(config.nano().to_json())
    values["expert"]["depth"] = 3
    with pytest.raises(ConfigError, match="expert.depth"):
        Config.from_json(json.dumps(values))


def test_damaged_json_is_a_config_error():
    with pytest.raises(ConfigError):
        Config.from_json(config.nano().to_json()[:-20])


@pytest.mark.parametrize("name", ["depth", "heads", "kv_heads", "head_dim"])
def test_expert_and_vlm_share_their_attention(name):
    c = config.nano()
    expert = dataclasses.replace(c.expert, **{name: 2 * getattr(c.expert, name)})
    with pytest.raises(ConfigError, match=f"expert.{name}"):
        dataclasses.replace(c, expert=expert)


@pytest.mark.parametrize("name, value", [("kv_heads", 3), ("head_dim", 7)])
def test_attention_sizes_that_do_not_divide_are_refused(name, value):
    c = config.nano()
    both = {part: dataclasses.replace(getattr(c, part), **{name: value})
            for part in ("vlm", "expert")}
    with pytest.raises(ConfigError, match="vlm.head"):
        dataclasses.replace(c, **both)


def test_expert_may_be_narrower():
    c = config.nano()
    assert dataclasses.replace(c, expert=dataclasses.replace(c.expert, width=24, mlp=8))


def test_a_spread_is_kept_and_must_fit_the_actions():
    c = dataclasses.replace(config.nano(), action_spread=(0.5,) * 8)
    assert Config.from_json(c.to_json()) == c
    for wrong in ((0.5,) * 7, (0.5,) * 7 + (0.0,)):
        with pytest.raises(ConfigError, match="action_spread"):
            dataclasses.replace(c, action_spread=wrong)


@pytest.mark.parametrize("wrong", [0, -1, 3, 11])
def test_tokens_hold_whole_parts_of_the_chunk(wrong):
    assert dataclasses.replace(config.nano(), steps_per_token=5).steps_per_token == 5
    with pytest.raises(ConfigError, match="a divisor of horizon = 10"):
        dataclasses.replace(config.nano(), steps_per_token=wrong)


def test_a_config_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.nano().horizon = 3


def test_differences_name_the_fields():
    a = config.nano()
    assert differences(a, config.nano()) == []
    b = dataclasses.replace(a, horizon=3, vision=dataclasses.replace(a.vision, depth=9))
    assert differences(a, b) == ["vision.depth: 1 against 9", "horizon: 10 against 3"]


def test_the_full_size_is_the_published_one():
    c = config.pi05()
    assert (c.vocabulary.size, c.horizon, c.action_size, c.max_tokens) == (257_152, 50, 32, 200)
    assert (c.vlm.heads, c.vlm.kv_heads, c.vlm.head_dim, c.vlm.depth) == (8, 1, 256, 18)
    assert len(c.cameras) * (c.vision.image_size // 14) ** 2 + c.max_tokens == 968
