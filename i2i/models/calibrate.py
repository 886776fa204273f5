"""Running statistics for batch norms, taken anew with the weights that training ended with.

Training averages them as it goes, with weights that still move, and pix2pix does not use them at all: it
normalises each image by itself. A calibrated model translates with fixed statistics instead, so that an
answer no longer depends on how an image's own values are spread.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from i2i import testtime
from i2i.data import stream
from i2i.data.opening import Note, open_data, quiet
from i2i.errors import RecipeError
from i2i.images.resizing import padded
from i2i.models.evaluation import Watch, check_fit
from i2i.models.trained import Trained
from i2i.models.translate import load_model
from i2i.plugins.catalog import Catalog
from i2i.runs import weights
from i2i.runs.header import ModelHeader
from i2i.seeds import seeded
from i2i.system.device import resolve


@torch.no_grad()
def calibrate(module: nn.Module, sources: Iterable[Tensor]) -> int:
    """Replace the running statistics of every batch norm in `module` by the plain mean over batches.

    Of each batch, (B,C,H,W), a norm takes the mean and the variance as in training; all batches weigh the
    same. Everything else runs in the mode it is in: dropout that stays on at test stays on here, because the
    statistics are for what a norm will see. Returns how many norms there are.
    """
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
    before = [(norm, norm.momentum, norm.training) for norm in norms]
    hooks = []
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's word for the plain mean
        # At each of its turns, for a method puts its networks into test mode whenever it translates.
        hooks.append(norm.register_forward_pre_hook(_as_in_training))
    try:
        for source in sources if norms else ():
            module(source)
    finally:
        for hook in hooks:
            hook.remove()
        for norm, momentum, training in before:
            norm.momentum = momentum
            norm.train(training)
    return len(norms)


def _as_in_training(norm: nn.Module, _: object) -> None:
    norm.train()


def calibrated_file(
    trained: Trained,
    *,
    catalog: Catalog,
    device: str = "auto",
    dropout: bool | None = None,
    note: Note = quiet,
    watch: Watch = lambda batches, count, what: batches,
) -> bytes:
    """Return a trained model, calibrated on its training sources, as a model file with test norm "running".

    Sources come as for evaluation, not augmented, in batches of the recipe's size; a smaller last batch is
    left out, as in training. `dropout` overrides what the file says, in the new file too.

    Raises RecipeError for a model without batch norms, DataError for data that does not fit it.
    """
    recipe = trained.recipe
    runtime = resolve(device, "fp32")
    with runtime.active():
        header = _header(trained, dropout)
        # What a method translates by is what its keys say; a network alone is simply put into that mode.
        whole = bool(header.networks)
        model = load_model(
            trained.path,
            device=runtime.device,
            catalog=catalog,
            norm="running" if whole else None,
            dropout=dropout,
        )
        if not whole:
            testtime.apply(model.module, header.generator(path=trained.path)[1])
        data = open_data(recipe, "train", note, cache=True)
        check_fit(model, data, trained)
        size = recipe.data.settings.batch_size
        count = max(1, len(data) // size)
        scale = trained.header.scale or "shrunk"
        batches = stream.held_out_batches(data, recipe.data.settings, limit=count * size, scale=scale)
        multiple = getattr(model.module, "size_multiple", 1)
        sources = (
            runtime.place(padded(batch.seen_by(header.role).source, multiple))
            for batch in watch(batches, count, "calibrating")
        )
        with seeded(recipe.seed, "calibrate"):
            norms = calibrate(model.module, sources)
    if not norms:
        raise RecipeError(f"{trained.path} has no batch norm with running statistics: nothing to calibrate.")
    about = {"images": len(data), "batch_size": size}
    header = replace(header, provenance={**header.provenance, "calibrated": about})
    return weights.encode(model.module.state_dict(), header.entries())


def _header(trained: Trained, dropout: bool | None) -> ModelHeader:
    """Return the header of the new file: how it is run, also by the keys of its method that say so."""
    header = trained.header
    chosen: dict[str, Any] = {"norm": "running"} | ({} if dropout is None else {"dropout": dropout})
    header = replace(header, test=replace(header.generator(path=trained.path)[1], **chosen))
    if header.method is None:
        return header
    keys = {f"test_{name}": value for name, value in chosen.items() if f"test_{name}" in header.method.slot}
    return replace(header, method=replace(header.method, slot={**header.method.slot, **keys}))
