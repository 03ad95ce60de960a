"""Counts of parameters and arithmetic are those of the model that runs."""

import dataclasses

import pytest
import torch

import pi05lite
from pi05lite import config
from pi05lite.model.describe import H200, Device, activations, describe, measure_device, short
from pi05lite.model.pi05 import Pi05


def test_the_full_size_in_seconds_with_the_published_parts():
    table = pi05lite.describe(config.pi05(), H200)
    parts = {p.name: p.parameters for p in table.parts}
    assert parts["picture tower"] == 412_442_352 and parts["projector"] == 2_361_344
    assert parts["token embedding"] == 526_647_296 and parts["VLM"] == 1_981_884_416
    assert parts["action expert"] == 427_932_672 + 66_592 + 2_099_200
    assert table.parameters == 3_353_433_872
    assert 0.005 < table.floor < 0.010  # the arithmetic of 968 tokens, and the expert read 10 times


def test_arithmetic_equals_the_count_by_hand():
    c = config.nano()
    parts = {p.name: p for p in describe(c, text=20, steps=7).parts}
    B, V, E, H = 1, c.vlm, c.expert, c.horizon
    T = 2 * 4 + 20  # two cameras of four patches
    heads = V.heads * V.head_dim
    layer = 2 * T * V.width * (heads + 2 * V.head_dim) + 4 * T * T * heads
    layer += 2 * T * heads * V.width + 6 * T * V.width * V.mlp
    last = 2 * T * V.width * (heads + 2 * V.head_dim)  # only its keys and values are read
    assert parts["VLM"].flops == B * ((V.depth - 1) * layer + last)
    flow = 2 * H * E.width * (heads + 2 * V.head_dim) + 4 * H * (T + H) * heads
    flow += 2 * H * heads * E.width + 6 * H * E.width * E.mlp
    ends = 4 * H * c.action_size * E.width + 4 * E.width**2
    modulation = 2 * E.width * 3 * E.width * (2 * E.depth + 1)
    assert parts["action expert"].flops == E.depth * flow + ends + modulation
    assert parts["action expert"].runs == 7


def test_bytes_and_the_floor_follow_from_the_device():
    c = config.nano()
    slow = Device("slow", flops=1e6, bandwidth=1e12)
    thin = Device("thin", flops=1e18, bandwidth=1e6)
    full, half = (describe(c, dtype=d) for d in (torch.float32, torch.bfloat16))
    assert [p.moved for p in full.parts] == [2 * p.moved for p in half.parts]
    assert describe(c, slow).floor == pytest.approx(half.flops / 1e6)
    assert describe(c, thin).floor == pytest.approx(sum(p.runs * p.moved for p in half.parts) / 1e6)
    assert describe(c, slow).share(2 * half.flops / 1e6) == pytest.approx(0.5)


def test_two_sizes_side_by_side_as_text_and_as_html():
    for preset in (config.tiny, config.small):
        table = describe(preset(), H200)
        assert "action expert" in str(table) and f"{table.parameters:,}" in str(table)
        assert table._repr_html_().count("<tr>") == len(table.parts) + 2


def test_more_steps_and_cameras_cost_more():
    c = config.nano()
    one = dataclasses.replace(c, cameras=("base",))
    assert describe(one).flops < describe(c).flops < describe(c, steps=20).flops


def test_this_machine_can_be_measured():
    here = measure_device(seconds=0.1)
    assert here.flops > 1e8 and here.bandwidth > 1e8


def test_what_training_keeps_is_counted_as_autograd_keeps_it():
    c = config.nano()
    with torch.device("meta"):
        model = Pi05(c)
    found = activations(model, text=20)
    P = 2 * 4  # two cameras of four patches
    assert found["projector"] == 4 * P * c.vision.width  # its input, for the weight's gradient
    more = activations(model, text=40)
    assert more["VLM"] > found["VLM"] and more["picture tower"] == found["picture tower"]
    half = activations(model.to(torch.bfloat16), text=20)
    assert half["projector"] == found["projector"] / 2 and half["VLM"] < found["VLM"]
    model.vision.requires_grad_(False)
    still = activations(model, text=20)
    assert still["picture tower"] == still["projector"] == 0 < still["VLM"]


def test_figures_have_three_digits_or_stand_whole():
    assert [short(x) for x in (0.01234, 7.0, 123.4, 999.4, 999.6, 3764.2, 1234567)] == [
        "0.0123", "7", "123", "999", "1,000", "3,764", "1,234,567"]
