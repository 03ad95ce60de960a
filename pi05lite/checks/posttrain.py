"""Checks of chapter 09, post-training: the joint loss, the flow's view, the second stage."""

import copy

import torch

from pi05lite.checks.core import Wrong, check, claim, compare, several
from pi05lite.model import masks
from pi05lite.train import module


@check("joint_loss", 4, seals=(module.TrainingModule.losses, module.TrainingModule.terms_of))
def check_joint_loss(joint_loss):
    """joint_loss(text, tokens, flow, real, alpha) -> one number for both stages."""
    g = torch.Generator().manual_seed(2)
    text, tokens = torch.rand(5, generator=g) + 4, torch.rand(40, generator=g) + 1
    flow, real = torch.rand(3, 6, 4, generator=g), torch.ones(3, 6, 4, dtype=torch.bool)
    real[0, 4:], real[1, :, 3:], real[2] = False, False, False  # an end, a size, words alone
    alpha = 10.0
    call = lambda *a: number(joint_loss(*(  # noqa: E731
        x.clone() if isinstance(x, torch.Tensor) else x for x in a)))
    yield compare("the loss of post-training", call(text, tokens, flow, real, alpha),
                  text.mean() + tokens.mean() + alpha * flow[real].mean(), 2,
                  slips(text, tokens, flow, real, alpha),
                  "Three means, each over its own count; alpha weighs the last one alone.")
    yield sleeping(call, text, tokens, flow)
    no_words, no_tokens = text[:0], tokens[:0]
    right = torch.stack([tokens.mean() + alpha * flow[real].mean(),
                         text.mean() + 0 * tokens.sum()])
    got = [call(no_words, tokens, flow, real, alpha),
           call(text, no_tokens, flow, torch.zeros_like(real), alpha)]
    empty = not torch.tensor(got).isfinite().all()
    if empty:
        yield claim(False, 1, "", "a batch without words, or without actions, gives NaN: the mean "
                    "of nothing. Such a term must be 0")
    else:
        yield compare("a batch without words, and one without actions", got, right, 1, {},
                      "What a batch has nothing of must add 0 and change nothing else.")


def number(loss):
    """A loss as a float; Wrong for anything that is not one number."""
    if loss is None:
        raise Wrong("nothing came back. Is there a `return`?")
    if torch.as_tensor(loss).numel() != 1:
        raise Wrong(f"expected one number, got the shape {tuple(torch.as_tensor(loss).shape)}: "
                    "were the means forgotten?")
    return float(loss)


def sleeping(call, text, tokens, flow):
    """The claim about pre-training, where alpha is 0 and there is no flow."""
    right = text.mean() + tokens.mean()
    try:
        got = call(text, tokens, None, None, 0.0)
    except (TypeError, AttributeError, IndexError) as error:
        return claim(False, 1, "", "in pre-training alpha is 0 and flow is None: the expert is not "
                     f"run, so look at alpha before you touch flow ({error})")
    return compare("the loss of pre-training", got, right, 1, {
        "words and action tokens in one mean": torch.cat([text, tokens]).mean(),
        "alpha weighs the tokens too; it is 0 here, and nothing is learned": 0.0,
    }, "Text and action tokens, each a mean of its own; no flow.")


def slips(text, tokens, flow, real, alpha):
    """What the loss is with one thing wrong: sentence -> number."""
    kept = flow * real
    right = text.mean() + tokens.mean()
    error = flow[real].mean()
    pooled = torch.cat([text, tokens]).mean()
    rows = real.flatten(1).any(1)
    of_each = (kept.flatten(1).sum(1) / real.flatten(1).sum(1).clamp(min=1))[rows].mean()
    everything = torch.cat([text, tokens, flow[real]])
    return {
        "words and action tokens in one mean: the many tokens drown the few words":
            pooled + alpha * error,
        "all three in one mean: whatever is most numerous drowns the rest": everything.mean(),
        "all in one mean, the flow weighed with alpha":
            torch.cat([text, tokens, alpha * flow[real]]).mean(),
        "sums in place of means: the loss grows with the batch":
            text.sum() + tokens.sum() + alpha * flow[real].sum(),
        "alpha weighs everything; it weighs the flow alone": alpha * (right + error),
        "alpha weighs the words and tokens, not the flow": alpha * right + error,
        "alpha weighs the action tokens too": text.mean() + alpha * (tokens.mean() + error),
        "alpha is missing": right + error,
        "padding counts: numbers that are not real were averaged in": right + alpha * flow.mean(),
        "padding is set to 0 but still counted: divide by how many numbers are real":
            right + alpha * kept.mean(),
        "every example was averaged by itself first: then one real step weighs as much as fifty":
            right + alpha * of_each,
        "`real` was taken for the padding; it is True where a number counts":
            right + alpha * flow[~real].mean(),
        "the flow is missing": right,
        "the action tokens are missing": text.mean() + alpha * error,
        "the words are missing": tokens.mean() + alpha * error}


@check("flow_view", 4, seals=(masks.Layout.mask, masks.Layout.positions))
def check_flow_view(flow_view):
    """flow_view(kinds, valid, H) -> what flow tokens see (B, T + H), their places (B, H)."""
    kinds = torch.tensor([[0, 0, 0, 1, 1, 2, 2, 2], [0, 0, 0, 1, 2, 2, 0, 0],
                          [0, 0, 0, 1, 2, 2, 2, 2]])
    valid = torch.ones(3, 8, dtype=torch.bool)
    valid[0, 1], valid[1, 6:], valid[2, 0] = False, False, False  # cameras that are absent, an end
    H = 3
    see, places = several(flow_view(kinds.clone(), valid.clone(), H), 2, "see, places")
    yield compare("what the flow sees", see, view(valid & (kinds != 2), H), 2, {
        "it reads the FAST tokens: they spell the very chunk that it must find, and on the robot "
        "there are none": view(valid, H),
        "it reads the FAST tokens, and padding": view(torch.ones_like(valid), H),
        "it reads padding": view(kinds != 2, H),
        "it does not see the subtask, which is there on the robot too":
            view(valid & (kinds == 0), H),
        "it sees the FAST tokens and no words: kind 1 is text, kind 2 are FAST tokens":
            view(valid & (kinds != 1), H),
        "only the text is seen; pictures and prompt belong to it": view(valid & (kinds == 1), H),
        "only the FAST tokens are seen: turned round": view(valid & (kinds == 2), H),
        "the steps of the chunk do not see each other": view(valid & (kinds != 2), H, False),
        "True means: may look. It is turned round": ~view(valid & (kinds != 2), H),
    }, "Of the prefix all that is valid and no FAST token; of the chunk all.")
    seen = (valid & (kinds != 2)).sum(1, keepdim=True)
    k, T = torch.arange(H), kinds.shape[1]
    yield compare("where it stands", places, seen + k, 2, {
        "FAST tokens were counted: on the robot there are none, and the chunk would stand "
        "elsewhere than in training": valid.sum(1, keepdim=True) + k,
        "all of the prefix was counted, padding and FAST tokens too": (T + k).expand(3, H),
        "padding was counted": (kinds != 2).sum(1, keepdim=True) + k,
        "the words were not counted": (valid & (kinds == 0)).sum(1, keepdim=True) + k,
        "one too far: how many tokens came *before* it": seen + k + 1,
        "one too early": seen + k - 1,
        "the chunk starts at 0, as if it stood before the prefix": k.expand(3, H),
        "all steps of the chunk stand at one place": seen.expand(3, H),
    }, "As many tokens as it could see came before the first one; the others follow.")


def view(prefix, H, chunk=True):
    """(B, T + H) bool: those tokens of the prefix, and the chunk or not."""
    return torch.cat([prefix, prefix.new_full((len(prefix), H), chunk)], dim=1)


NAMES = ("vision.patch.weight", "embedding.weight", "vlm.layers.0.experts.0.weight",
         "vlm.norm.scale", "expert.action_in.weight", "expert.transformer.layers.0.norm.weight")
KEYS = {"weights", "text", "actions", "stats", "moments", "step"}


@check("second_stage", 4)
def check_second_stage(second_stage):
    """second_stage(run, fresh) -> the dict that post-training begins with."""
    g = torch.Generator().manual_seed(4)
    draw = lambda: {name: torch.randn(2, generator=g) for name in NAMES}  # noqa: E731
    run = {"weights": draw(), "text": "the words", "actions": "the FAST merges",
           "stats": {"cr5": 1.5}, "moments": draw(), "step": 280}
    fresh = {"weights": draw(), "text": "other words", "actions": "other merges",
             "stats": {"cr5": 0.0}, "moments": {}, "step": 0}
    before = copy.deepcopy((run, fresh))
    begun = second_stage(run, fresh)
    if begun is None:
        raise Wrong("nothing came back. Is there a `return`?")
    if not isinstance(begun, dict) or set(begun) != KEYS:
        raise Wrong(f"expected a dict with {sorted(KEYS)}, got "
                    f"{sorted(begun) if isinstance(begun, dict) else type(begun).__name__}")
    if not isinstance(begun["weights"], dict) or set(begun["weights"]) != set(NAMES):
        raise Wrong("the weights: expected the same names as in both, no more and no fewer")
    run, fresh = before
    origin = {name: whose(begun["weights"][name], run["weights"][name], fresh["weights"][name])
              for name in NAMES}
    vlm, expert = NAMES[:4], NAMES[4:]
    yield claim(all(origin[n] == "run" for n in vlm), 1, "VLM, tower and embeddings go on",
                redrawn({n: origin[n] for n in vlm}))
    yield claim(all(origin[n] == "fresh" for n in expert), 1, "the expert is drawn anew",
                kept({n: origin[n] for n in expert}))
    lost = [k for k in ("text", "actions", "stats") if begun[k] != run[k]]
    yield claim(not lost, 1, "tokenizers and statistics are kept",
                f"{', '.join(lost)} drawn anew: what the embeddings have learned is in the ids and "
                "the scale of pre-training")
    yield claim(same(begun["moments"], {}) and begun["step"] == 0, 1,
                "optimizer and schedule begin anew", carried(begun, run))


def whose(tensor, run, fresh):
    """Which of two a tensor is: "run", "fresh" or "neither"."""
    owners = {"run": run, "fresh": fresh}
    found = (who for who, x in owners.items() if torch.equal(torch.as_tensor(tensor), x))
    return next(found, "neither")


def same(a, b):
    """Whether two dicts of tensors are the same."""
    return isinstance(a, dict) and set(a) == set(b) and all(torch.equal(a[k], b[k]) for k in a)


def redrawn(origin):
    """What is wrong with the weights that should have been kept."""
    wrong = [name for name, o in origin.items() if o != "run"]
    if wrong == ["embedding.weight"]:
        return ("the embeddings were drawn anew: all that the VLM has learned of words and FAST "
                "tokens is told in them")
    if wrong == ["vlm.layers.0.experts.0.weight"]:
        return ("vlm.layers.0.experts.0.weight belongs to the VLM: it is the action expert only "
                "where the name *starts* with `expert.`")
    if len(wrong) == 4:
        return "all weights were drawn anew: then pre-training was for nothing"
    return f"not as pre-training left them: {', '.join(wrong)}"


def kept(origin):
    """What is wrong with the expert's weights."""
    if all(o == "run" for o in origin.values()):
        return ("the expert was kept: pre-training has never trained it (or another run has), and "
                "post-training begins with it at random weights")
    if "run" in origin.values():
        return "a part of the expert was kept: all names that start with `expert.` are drawn anew"
    return "the expert's weights are neither those of `fresh` nor those of `run`"


def carried(begun, run):
    """What is wrong with optimizer and schedule."""
    if begun["step"] == run["step"] and same(begun["moments"], run["moments"]):
        return ("moments and step were carried over: the schedule has come to its end, and the "
                "moments are averages of another loss's gradients")
    if begun["step"] != 0:
        return ("the schedule's step was carried over: it has come to its end, so there would be "
                "no warm-up and the smallest rate")
    return ("the optimizer's moments were carried over: they are averages of another loss's "
            "gradients; `fresh` has none")
