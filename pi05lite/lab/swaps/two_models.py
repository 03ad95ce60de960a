"""Two separate models for high and low level (as Hi Robot, arXiv 2502.19417) in place of one."""

from dataclasses import replace

from pi05lite.model.pi05 import Pi05
from pi05lite.policy import Policy
from pi05lite.train.module import TrainingModule


class Two(Pi05):  # acts; `says`, a whole model of its own, only speaks
    def __init__(self, config, **parts):
        super().__init__(config, **parts)
        self.says = Pi05(config, **parts)


class EachItsOwn(TrainingModule):
    def terms(self, batch, draws):
        acts, sums = batch.action_mask.flatten(1).any(dim=1), {}
        for model, rows in ((self.model, acts), (self.model.says, ~acts)):
            if rows.any():
                part = TrainingModule(model, self.recipe, self.source_names)
                mine = draws and draws.select(rows)
                for name, pair in part.terms(batch[rows], mine).items():
                    sums[name] = [a + b for a, b in zip(sums.get(name, (0, 0)), pair)]
        return sums


class TwoPolicy(Policy):
    def answers(self, batch, limit=24, temperature=0.0, generator=None):
        return Policy(self.model.says, self.processor).answers(batch, limit, temperature, generator)


def two_models(variant):
    return replace(variant, build=Two, module=EachItsOwn, policy=TwoPolicy)
