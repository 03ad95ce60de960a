"""Each process holds a part of every weight (FSDP), for models that do not fit on one device with
their gradients and optimizer moments: the full pi0.5 takes 54 GB for all three in fp32.
"""

from lightning.pytorch.strategies import FSDPStrategy
from torch.distributed.fsdp import (
    FullOptimStateDictConfig,
    FullStateDictConfig,
    OptimStateKeyType,
    StateDictType,
)
from torch.distributed.fsdp import FullyShardedDataParallel as FSDP

from pi05lite.model.transformer import Layer
from pi05lite.model.vision import VisionTower


class Sharded(FSDPStrategy):
    """Lightning's FSDP, one unit a Layer and one for the picture tower, with our checkpoints.

    A checkpoint is the same folder as on one device and can be resumed on any number of them. To
    write it, process 0 gathers the whole on its CPU; to read it, each process reads all of it.
    Tested on CPUs (gloo), where a run equals that of one device; on GPUs not yet. options: those of
    FSDPStrategy; wrap: the classes whose instances are units.
    """

    def __init__(self, wrap=(Layer, VisionTower), **options):
        super().__init__(auto_wrap_policy=set(wrap), state_dict_type="full", **options)

    def _setup_model(self, model):
        """Wrap the model; on CPUs torch wants to be told that they are meant."""
        if self.root_device.type != "cpu":
            return super()._setup_model(model)
        return FSDP(model, device_id=self.root_device, sharding_strategy=self.sharding_strategy,
                    mixed_precision=self.mixed_precision_config, **self.kwargs)

    def whole(self, first=False):
        """The context in which weights go in and out unsharded, in the first process alone."""
        gpu = self.root_device.type != "cpu"  # on CPUs, offloading would hand out freed memory
        return FSDP.state_dict_type(
            self.model, StateDictType.FULL_STATE_DICT, FullStateDictConfig(gpu, first),
            FullOptimStateDictConfig(gpu, first))

    def lightning_module_state_dict(self):
        """The whole weights in the first process, nothing in the others."""
        with self.whole(first=True):
            return self.model.state_dict()

    def optimizer_state(self, optimizer):
        """The whole moments in the first process, numbered as on one device."""
        with self.whole(first=True):
            state = FSDP.optim_state_dict(self.model, getattr(optimizer, "_optimizer", optimizer))
            if self.global_rank == 0:
                state = FSDP.rekey_optim_state_dict(state, OptimStateKeyType.PARAM_ID, self.model)
        return state

    def load_whole(self, state_dict, strict=True):
        """Take this process's parts out of a whole state dict."""
        with self.whole():
            self.model.load_state_dict(state_dict, strict=strict)

    def save_checkpoint(self, checkpoint, filepath, storage_options=None):
        """The first process writes the folder; the others wait for it in Trainer.save_checkpoint.

        Lightning's own asks in each process whether the path is a folder already, and so fails in
        one that asks when the first has just written it.
        """
        if self.is_global_zero:
            self.checkpoint_io.save_checkpoint(checkpoint, filepath)

    def load_checkpoint(self, path, weights_only=None):
        """Read a folder; the moments are taken out here, the weights by `MovingAverage`."""
        checkpoint = self.checkpoint_io.load_checkpoint(path)
        with self.whole():
            for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"]):
                named = FSDP.rekey_optim_state_dict(state, OptimStateKeyType.PARAM_NAME, self.model)
                optimizer.load_state_dict(
                    FSDP.optim_state_dict_to_load(self.model, optimizer, named))
        return checkpoint
