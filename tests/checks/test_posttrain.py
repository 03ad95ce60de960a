"""The checks of chapter 09 on right answers, and on wrong ones that they must name."""

import pytest
import torch

from pi05lite.checks import posttrain as checks
from pi05lite.model.masks import Layout
from pi05lite.train.module import TrainingModule
from tests.checks.tools import verdict


def mean(x):
    """The mean, 0 of nothing."""
    return x.sum() / max(1, x.numel())


def joint(of=lambda t, k, f, a: t + k + a * f, pool=False, flow=lambda f, r: mean(f[r]),
          term=mean, asleep=True):
    """The joint loss, right or with one thing wrong."""
    def loss(text, tokens, errors, real, alpha):
        words, acts = term(text), term(tokens)
        if pool:
            words, acts = term(torch.cat([text, tokens])), 0.0
        f = 0.0 if asleep and alpha == 0 else flow(errors, real)
        return of(words, acts, f, alpha)
    return loss


def by_weights(text, tokens, flow, real, alpha):
    """The same by sums and counts, in place."""
    total = torch.zeros(())
    parts = [(text, 1.0), (tokens, 1.0)]
    if flow is not None:
        flow *= real
        parts.append((flow[real], alpha))
    for values, weight in parts:
        if len(values):
            total = total + weight * values.sum() / len(values)
    return total.item()


@pytest.mark.parametrize("mine", [joint(), by_weights])
def test_right_losses(mine, capsys):
    assert verdict(checks.check_joint_loss, mine, capsys)[0] == 4


def by_example(f, r):
    """Each example's own mean first."""
    counts = r.flatten(1).sum(1)
    sums = (f * r).flatten(1).sum(1)
    return mean((sums / counts.clamp(min=1))[counts > 0])


@pytest.mark.parametrize("mine, points, says", [
    (joint(pool=True), 1, "in one mean"),
    (joint(of=lambda t, k, f, a: a * (t + k + f)), 0, "alpha weighs everything"),
    (joint(of=lambda t, k, f, a: a * (t + k) + f), 0, "not the flow"),
    (joint(of=lambda t, k, f, a: t + a * (k + f)), 0, "the action tokens too"),
    (joint(of=lambda t, k, f, a: t + k + f), 1, "alpha is missing"),
    (joint(of=lambda t, k, f, a: t + a * f), 0, "action tokens are missing"),
    (joint(flow=lambda f, r: f.mean()), 1, "padding counts"),
    (joint(flow=lambda f, r: (f * r).mean()), 1, "still counted"),
    (joint(flow=by_example), 1, "averaged by itself"),
    (joint(flow=lambda f, r: mean(f[~r])), 1, "taken for the padding"),
    (joint(asleep=False), 3, "look at alpha before"),
    (joint(term=torch.mean), 3, "the mean of nothing"),
    (joint(term=torch.sum, flow=lambda f, r: f[r].sum()), 0, "sums in place of means"),
    (lambda *a: None, 0, "return"), (lambda t, k, f, r, a: t, 0, "means forgotten"),
    (TrainingModule.losses, 0, "without the package's own")])
def test_wrong_losses_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_joint_loss, mine, capsys)
    assert got == points and says in text


def view(sees=lambda k, v: v & (k != 2), counts=None, first=0, own=True, after=torch.arange):
    """The flow's view, right or with one thing wrong."""
    def of(kinds, valid, H):
        see, counted = sees(kinds, valid), (counts or sees)(kinds, valid)
        places = counted.sum(1, keepdim=True) + first + after(H)
        return torch.cat([see, torch.full((len(see), H), own)], dim=1), places
    return of


def loops(kinds, valid, H):
    """The same token by token, as lists."""
    see, places = [], []
    for row, there in zip(kinds.tolist(), valid.tolist()):
        seen = [v and k in (0, 1) for k, v in zip(row, there)]
        see.append(seen + [True] * H)
        places.append([sum(seen) + h for h in range(H)])
    return see, torch.tensor(places)


@pytest.mark.parametrize("mine", [view(), loops])
def test_right_views(mine, capsys):
    assert verdict(checks.check_flow_view, mine, capsys)[0] == 4


good = lambda k, v: v & (k != 2)  # noqa: E731


@pytest.mark.parametrize("mine, points, says", [
    (view(lambda k, v: v), 0, "reads the FAST tokens: they spell"),
    (view(lambda k, v: v, counts=good), 2, "reads the FAST tokens: they spell"),
    (view(good, counts=lambda k, v: v), 2, "FAST tokens were counted"),
    (view(lambda k, v: k != 2), 0, "it reads padding"),
    (view(good, counts=lambda k, v: k != 2), 2, "padding was counted"),
    (view(lambda k, v: v & (k == 0), counts=good), 2, "does not see the subtask"),
    (view(lambda k, v: v & (k != 1), counts=good), 2, "kind 1 is text"),
    (view(own=False), 2, "do not see each other"), (view(first=1), 2, "one too far"),
    (view(first=-1), 2, "one too early"),
    (view(counts=lambda k, v: v & (k > 5)), 2, "starts at 0"),
    (view(after=torch.zeros), 2, "at one place"), (lambda k, v, H: v, 0, "expected 2 values"),
    (lambda k, v, H: (good(k, v), torch.zeros(3, H)), 0, "expected the shape"),
    (lambda k, v, H: (Layout(k, v).append([3] * H).mask(H)[:, 0], None), 0, "the package's own")])
def test_wrong_views_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_flow_view, mine, capsys)
    assert got == points and says in text


def second(new=lambda name: name.startswith("expert."), fresh_keys=("moments", "step")):
    """What post-training begins with, right or with one thing wrong."""
    def begin(run, fresh):
        weights = {k: (fresh if new(k) else run)["weights"][k] for k in run["weights"]}
        return {k: (fresh if k in fresh_keys else run)[k] for k in run} | {"weights": weights}
    return begin


def edited(run, fresh):
    """The same, editing a copy."""
    out = dict(run, moments={}, step=0, weights=dict(run["weights"]))
    for key in list(out["weights"]):
        if key[:7] == "expert.":
            out["weights"][key] = fresh["weights"][key].clone()
    return out


@pytest.mark.parametrize("mine", [second(), edited])
def test_right_second_stages(mine, capsys):
    assert verdict(checks.check_second_stage, mine, capsys)[0] == 4


@pytest.mark.parametrize("mine, points, says", [
    (second(new=lambda n: False), 3, "the expert was kept"),
    (second(new=lambda n: "expert" in n), 3, "belongs to the VLM"),
    (second(new=lambda n: n.startswith(("expert.", "embedding"))), 3, "embeddings were drawn anew"),
    (second(new=lambda n: True), 3, "pre-training was for nothing"),
    (second(new=lambda n: "action_in" in n), 3, "a part of the expert"),
    (second(new=lambda n: not n.startswith("expert.")), 2, "was for nothing"),
    (second(fresh_keys=("step",)), 3, "moments were carried over"),
    (second(fresh_keys=("moments",)), 3, "schedule's step was carried over"),
    (second(fresh_keys=()), 3, "moments and step were carried over"),
    (second(fresh_keys=("moments", "step", "stats")), 3, "stats drawn anew"),
    (second(fresh_keys=("moments", "step", "text", "actions")), 3, "text, actions drawn anew"),
    (lambda run, fresh: run, 2, "the expert was kept"),
    (lambda run, fresh: fresh, 2, "was for nothing"),
    (lambda run, fresh: run["weights"], 0, "expected a dict"),
    (lambda run, fresh: dict(run, weights={}), 0, "the same names"),
    (lambda run, fresh: None, 0, "return")])
def test_wrong_second_stages_are_named(mine, points, says, capsys):
    got, text = verdict(checks.check_second_stage, mine, capsys)
    assert got == points and says in text
