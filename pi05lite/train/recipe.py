"""Recipes: plain functions that return the numbers of a training stage.

Change one with `dataclasses.replace(pretrain(), steps=500)`.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Recipe:
    """The numbers of one training stage."""

    stage: str  # "pretrain" or "posttrain"
    steps: int
    batch_size: int  # examples a step, over all devices
    learning_rate: float
    warmup: int  # steps of linear rise
    muon: float = 0.0  # rate of layers' matrices by `pi05lite.train.muon`; 0: AdamW's, as all else
    final_share: float = 0.1  # the cosine ends at this share of the learning rate
    betas: tuple = (0.9, 0.95)
    weight_decay: float = 1e-10
    clip: float = 1.0  # largest gradient norm
    ema: float = 0.99  # share of the old average kept at each step
    alpha: float = 0.0  # weight of the flow loss; 0 leaves the expert untouched
    named: float = 0.0  # weight of saying, at a word of the prompt, where in the picture it is
    aim: float = 0.0  # weight of looking there, by a head a camera (see `pi05lite.train.aim`)
    call: float = 0.0  # weight of patches' naming what they show (`pi05lite.train.call`)
    tell: float = 0.0  # weight of values telling the expert what they say (`pi05lite.train.tell`)
    listen: float = 0.0  # weight of the expert's looking at them (`pi05lite.train.listen`)
    insulate: bool = False  # knowledge insulation: no gradient from the flow loss to the VLM
    expert_rate: float = 1.0  # the expert's learning rate, times the others'
    expert_only: bool = False  # the VLM stays as it is, and only the flow is trained
    kept: int = 0  # prefixes kept for an expert alone (see `pi05lite.train.keep`); 0: none
    drawn: int = 0  # ... and how many of them it learns from at each step, over all devices
    flow_draws: int = 1  # noises and flow times per prefix
    augment: bool = True  # pictures changed a little at every step
    move: bool = True  # ... those of the room also cropped and turned, boxes and actions not
    blur: float = 0.0  # standard deviation of noise on the normalised state in the prompt
    new_expert: bool = False  # draw the expert anew before the first step
    lora: tuple | None = None  # ranks of adapters in VLM and expert; None: train all weights
    seed: int = 0
    save_every: int = 200  # steps between checkpoints


def pretrain(steps=300, batch_size=16, learning_rate=2e-3):
    """Next-token prediction on text and discrete action tokens (pi0.5, section IV; alpha = 0).

    Optimiser numbers other than rate and batch are openpi's; the blur is ours: a state in 256 bins
    is a fingerprint that few episodes let a model learn by heart.
    """
    return Recipe("pretrain", steps, batch_size, learning_rate, warmup=max(1, steps // 20),
                  blur=0.05)


def posttrain(steps=1920, batch_size=16, learning_rate=2e-3):
    """Text, action tokens and flow together, the expert from random weights (alpha = 10)."""
    return Recipe("posttrain", steps, batch_size, learning_rate, warmup=max(1, steps // 20),
                  blur=0.05, alpha=10.0, flow_draws=4, new_expert=True)


def home_look(steps=6000, batch_size=48, learning_rate=2e-3):
    """Tower and words of the homes model, before anything else (see `pi05lite.train.look`).

    9 minutes on two CPU cores with bfloat16, 93 ms a step.
    """
    return Recipe("look", steps, batch_size, learning_rate, warmup=100, muon=0.02,
                  final_share=0.05, weight_decay=0.01, move=False, ema=0.0)


def home_read(steps=1000, batch_size=48, learning_rate=1e-3):
    """Prompts without pictures, right after `home_look` (see `pi05lite.train.read`).

    With `home_point` after it 3 minutes for 600 steps of each, on two CPU cores with bfloat16.
    """
    return Recipe("read", steps, batch_size, learning_rate, warmup=100, muon=0.01, final_share=0.05,
                  weight_decay=0.01, ema=0.0)


def home_point(steps=1000, batch_size=16, learning_rate=1e-3):
    """Prompts that name what is in sight, right after `home_read` (see `pi05lite.train.point`)."""
    return Recipe("point", steps, batch_size, learning_rate, warmup=100, muon=0.01,
                  final_share=0.05, weight_decay=0.01, move=False, ema=0.0)


def home_pretrain(steps=1500, batch_size=32, learning_rate=7e-4):
    """Pre-training on five sources of the homes (see `pi05lite.train.homes`).

    11 minutes on two CPU cores with bfloat16, a process on each.
    """
    return Recipe("pretrain", steps, batch_size, learning_rate, warmup=100, muon=0.01,
                  weight_decay=0.01, blur=0.01, ema=0.995, move=False, named=1.0, aim=1.0,
                  call=1.0, tell=1.0, save_every=300)


def home_expert(steps=600, batch_size=8, learning_rate=4e-3):
    """The expert from random weights on the VLM as it is: post-training begins with it.

    It learns several times as fast alone, at a rate that the VLM would not bear, and from prefixes
    that are kept: at each step 96 of them, 8 of them new. They take some 1.3 GB. 0.11 s a step on
    two CPU cores with bfloat16.
    """
    return Recipe("expert", steps, batch_size, learning_rate, warmup=50, muon=0.02,
                  final_share=0.03, weight_decay=0.01, blur=0.01, ema=0.995, move=False, alpha=1.0,
                  listen=0.1, kept=6000, drawn=96, expert_only=True, new_expert=True,
                  save_every=500)


def home_posttrain(steps=12_000, batch_size=16, learning_rate=7e-4):
    """Post-training in homes: text, action tokens and flow (alpha = 10).

    Two draws a prefix: the expert sees each frame at the price of the VLM's pass and gradient here,
    and far more of them when it settles. 64 minutes of two CPU cores with bfloat16 and a quick
    allocator (`pi05lite.allocator`), a process on each, 0.32 s a step, all of it by AdamW; 0.36 s
    with Muon, of which the first 1,500 steps were measured.
    """
    return Recipe("posttrain", steps, batch_size, learning_rate, warmup=100, muon=0.01,
                  weight_decay=0.01, blur=0.01, ema=0.998, move=False, named=1.0, aim=1.0,
                  call=1.0, tell=1.0, listen=1.0, alpha=10.0, flow_draws=2, expert_rate=4.0,
                  save_every=500)


def home_settle(steps=8000):
    """The expert alone once more, when the VLM has learned all it will: post-training ends with it.

    Together with the VLM it saw each frame at the price of a pass and a gradient of the VLM. 15
    minutes of two CPU cores with bfloat16, a process on each, 0.11 s a step.
    """
    return replace(home_expert(steps), stage="settle", ema=0.998, new_expert=False)


def finetune(steps=30_000, batch_size=32, learning_rate=2.5e-5, lora=(16, 32)):
    """Adapters on trained weights for a new robot or task, on one GPU (see `lora.cost`).

    openpi's numbers; with adapters it keeps no moving average, and here ema = 0 is the same.
    """
    return Recipe("finetune", steps, batch_size, learning_rate, alpha=10.0, ema=0.0, lora=lora,
                  warmup=min(1000, max(1, steps // 20)))
