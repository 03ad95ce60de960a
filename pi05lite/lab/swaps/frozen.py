"""A frozen picture tower: what it knows stays, its projector alone learns.

It only makes sense with a tower that knows something (`config.vision.pretrained`).
"""

from dataclasses import replace


def frozen_vision(variant):
    def build(config, **parts):
        model = variant.build(config, **parts)
        model.vision.tower.requires_grad_(False)
        return model
    return replace(variant, build=build)
