"""One frozen tree of numbers for a whole pi0.5, and its four presets.

Letters used everywhere: B batch, T tokens, P patches, C cameras, H horizon (steps of a chunk),
A action size, S state size, D width, N heads, K head size.

Change a number with `dataclasses.replace(config, horizon=10)`; swap a part by handing another class
to the model's constructor (see `pi05lite.model.pi05.Pi05`).
"""

import dataclasses
import json
from dataclasses import dataclass

from pi05lite.errors import ConfigError, say
from pi05lite.tokens.vocabulary import Vocabulary


@dataclass(frozen=True)
class VisionConfig:
    """The picture encoder: any timm model; None leaves timm's own number."""

    name: str = "vit_so400m_patch14_siglip_gap_224"
    pretrained: bool = False
    image_size: int = 224
    patch: int | None = None
    width: int | None = None
    depth: int | None = None
    heads: int | None = None
    mlp: int | None = None
    act: str | None = "gelu_tanh"  # PaliGemma's SigLIP; timm's default is the exact GELU
    stem: tuple | None = None  # widths of convolutions that halve the picture, up to the patches
    stem_blocks: int = 0  # residual blocks behind each of them but the first
    stem_pool: int = 0  # how many, from the last, halve by the largest of four, not every other


@dataclass(frozen=True)
class TransformerConfig:
    """One Gemma-style stack: the VLM's decoder or the action expert."""

    width: int
    depth: int
    mlp: int
    heads: int
    kv_heads: int
    head_dim: int


@dataclass(frozen=True)
class Config:
    """Everything that fixes the shape of a pi0.5."""

    vision: VisionConfig
    vlm: TransformerConfig
    expert: TransformerConfig
    vocabulary: Vocabulary
    cameras: tuple[str, ...] = ("base", "left_wrist", "right_wrist")  # slots, in sequence order
    horizon: int = 50  # H, steps of a chunk
    action_size: int = 32  # A, smaller robots are padded to it
    # A deviations of the normalised actions: the flow's noise gets the same; None: 1 (as pi0.5).
    action_spread: tuple[float, ...] | None = None
    steps_per_token: int = 1  # of a chunk, in each token of the expert (1 in pi0.5)
    state_bins: int = 256
    max_tokens: int = 200  # text places: prompt with state, answer, action tokens
    tau_alpha: float = 1.5  # tau = tau_max (1 - u), u ~ Beta(tau_alpha, tau_beta); pi0.5 appendix
    tau_beta: float = 1.0
    tau_max: float = 0.999
    theta: float = 10_000.0  # RoPE base

    def __post_init__(self):
        vlm, expert = self.vlm, self.expert
        for name in ("depth", "heads", "kv_heads", "head_dim"):
            mine, other = getattr(expert, name), getattr(vlm, name)
            if mine != other:
                raise ConfigError(say(
                    f"expert.{name}", f"{other}, as in the VLM: they share one attention per layer",
                    mine, f"replace(config.expert, {name}={other})"))
        if vlm.heads % vlm.kv_heads:
            raise ConfigError(say("vlm.heads", f"a multiple of kv_heads = {vlm.kv_heads}",
                                  vlm.heads, "choose heads that divide into the kv heads"))
        spread = self.action_spread
        if spread is not None and not (len(spread) == self.action_size and min(spread) > 0):
            raise ConfigError(say("action_spread", f"{self.action_size} numbers above 0, one for "
                                  "each action number", spread, "give the deviation of each, or "
                                  "None"))
        if self.steps_per_token < 1 or self.horizon % self.steps_per_token:
            raise ConfigError(say("steps_per_token", f"a divisor of horizon = {self.horizon}",
                                  self.steps_per_token, "choose one, 1 as in pi0.5"))
        if vlm.head_dim % 2:
            raise ConfigError(say("vlm.head_dim", "an even number (RoPE turns pairs)",
                                  vlm.head_dim, "choose an even head_dim"))

    def to_json(self) -> str:
        """The config as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @staticmethod
    def from_json(text: str) -> "Config":
        """The config that `to_json` wrote; unknown or missing names raise ConfigError."""
        parts = {"vision": VisionConfig, "vlm": TransformerConfig, "expert": TransformerConfig,
                 "vocabulary": Vocabulary}
        try:
            values = json.loads(text)
            for name, part in parts.items():
                values[name] = part(**values[name])
            values["cameras"] = tuple(values["cameras"])
            if values.get("action_spread") is not None:
                values["action_spread"] = tuple(values["action_spread"])
            if values["vision"].stem is not None:
                values["vision"] = dataclasses.replace(
                    values["vision"], stem=tuple(values["vision"].stem))
            return Config(**values)
        except (TypeError, KeyError, json.JSONDecodeError) as error:
            raise ConfigError(say("config.json", "the fields of pi05lite.config.Config", error,
                                  "load it with the pi05lite version that wrote it")) from error


def differences(a: Config, b: Config) -> list[str]:
    """The fields in which two configs differ, one readable line each."""

    def walk(x, y, path):
        if dataclasses.is_dataclass(x) and type(x) is type(y):
            return [line for f in dataclasses.fields(x)
                    for line in walk(getattr(x, f.name), getattr(y, f.name), path + [f.name])]
        return [] if x == y else [f"{'.'.join(path)}: {x} against {y}"]

    return walk(a, b, [])


def nano() -> Config:
    """About 0.1 M parameters: tests, each under a second."""
    sizes = dict(depth=2, heads=4, kv_heads=1, head_dim=8)
    return Config(
        vision=VisionConfig(image_size=28, patch=14, width=32, depth=1, heads=4, mlp=64),
        vlm=TransformerConfig(width=32, mlp=64, **sizes),
        expert=TransformerConfig(width=16, mlp=32, **sizes),
        vocabulary=Vocabulary(text=640, actions=320, locations=64),
        cameras=("base", "left_wrist"), horizon=10, action_size=8, max_tokens=64)


def tiny() -> Config:
    """1 to 5 M parameters: notebooks on two CPU cores."""
    sizes = dict(depth=4, heads=4, kv_heads=1, head_dim=32)
    return Config(
        vision=VisionConfig(image_size=64, patch=16, width=128, depth=4, heads=4, mlp=512),
        vlm=TransformerConfig(width=128, mlp=512, **sizes),
        expert=TransformerConfig(width=96, mlp=384, **sizes),
        vocabulary=Vocabulary(text=1024, actions=1024, locations=256),
        cameras=("base", "left_wrist"), horizon=50, action_size=8, max_tokens=128)


def homes() -> Config:
    """3.0 M parameters for the homes: patches of 8 pixels behind convolutions, three cameras."""
    sizes = dict(depth=4, heads=4, kv_heads=1, head_dim=64)
    return Config(
        vision=VisionConfig(image_size=64, patch=8, width=128, depth=0, heads=4, mlp=512,
                            stem=(32, 64, 128), stem_blocks=1, stem_pool=3),
        vlm=TransformerConfig(width=128, mlp=512, **sizes),
        expert=TransformerConfig(width=96, mlp=384, **sizes),
        vocabulary=Vocabulary(text=2048, actions=1024, locations=64),
        horizon=50, action_size=8, steps_per_token=5, max_tokens=128)


def small() -> Config:
    """30 to 100 M parameters: a laptop GPU or a free hosted GPU."""
    sizes = dict(depth=12, heads=8, kv_heads=1, head_dim=64)
    return Config(
        vision=VisionConfig(image_size=128, patch=16, width=384, depth=8, heads=6, mlp=1536),
        vlm=TransformerConfig(width=512, mlp=2048, **sizes),
        expert=TransformerConfig(width=256, mlp=1024, **sizes),
        vocabulary=Vocabulary(text=6144, actions=1024, locations=1024))


def pi05() -> Config:
    """The real thing, 3.35 B parameters: SigLIP So400m/14 at 224, Gemma 2B, 300M expert."""
    sizes = dict(depth=18, heads=8, kv_heads=1, head_dim=256)  # heads 8: the papers' 18 is a slip
    return Config(
        vision=VisionConfig(),
        vlm=TransformerConfig(width=2048, mlp=16384, **sizes),
        expert=TransformerConfig(width=1024, mlp=4096, **sizes),
        vocabulary=Vocabulary(text=253_952, actions=2048, locations=1024, segments=128))
