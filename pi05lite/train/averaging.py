"""The moving average of the weights over the steps, which is what a run gives back.

Lightning's WeightAveraging copies the whole model, which a sharded one does not allow; here each
process averages the weights, or the parts of them, that it holds itself.
"""

import lightning.pytorch as pl
import torch


class MovingAverage(pl.Callback):
    """Keeps `share` of the old average at each step; the first step's weights start it.

    A checkpoint holds the average as its weights and the raw weights beside it.
    """

    def __init__(self, share):
        self.share, self.average, self.step = share, None, 0

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        """Move the average towards the weights after each optimizer step."""
        if trainer.global_step == self.step:
            return
        self.step, now = trainer.global_step, held(module)
        if self.average is None:
            self.average = [x.clone() for x in now]
        else:
            torch._foreach_lerp_(self.average, now, 1 - self.share)

    def on_train_end(self, trainer, module):
        """Leave the averaged weights in the model."""
        self.swap(module)
        self.average = None

    def on_save_checkpoint(self, trainer, module, checkpoint):
        """The average takes the place of the weights, which go beside it."""
        if self.average is None:
            return
        checkpoint["current_model_state"] = checkpoint["state_dict"]
        self.swap(module)
        averaged = trainer.strategy.lightning_module_state_dict()
        # Copies, since the tensors are the model's own.
        checkpoint["state_dict"] = {k: v.to("cpu", copy=True) for k, v in averaged.items()}
        self.swap(module)

    def on_load_checkpoint(self, trainer, module, checkpoint):
        """Take the average and the raw weights out of a checkpoint."""
        load = getattr(trainer.strategy, "load_whole", module.load_state_dict)
        load(checkpoint["state_dict"], strict=module.strict_loading)
        self.average = [x.clone() for x in held(module)]
        load(checkpoint["current_model_state"], strict=module.strict_loading)
        self.step = checkpoint["global_step"]

    @torch.no_grad()
    def swap(self, module):
        """Exchange the averaged and the present weights."""
        for mine, theirs in zip(self.average or [], held(module)):
            was = theirs.clone()
            theirs.copy_(mine)
            mine.copy_(was)


def held(module):
    """The weights that are trained and the running statistics that this process holds."""
    statistics = [x for x in module.buffers() if x.is_floating_point()]
    return [x.detach() for x in [*(p for p in module.parameters() if p.requires_grad), *statistics]]
