"""Devices and precisions are resolved once, or refused in words."""

from __future__ import annotations

import pytest
import torch

from i2i.errors import RecipeError, ResourceError
from i2i.system.device import Runtime, find_device, peak_memory_mb, resolve


def test_auto_is_resolved_to_names_that_can_be_recorded_and_read_back():
    runtime = resolve("auto", "auto")
    assert runtime.precision in ("fp32", "bf16", "fp16")
    assert Runtime(**runtime.record()) == runtime


def test_fp32_is_taken_at_its_word():
    runtime = resolve("cpu", "fp32")
    assert (runtime.precision, runtime.channels_last) == ("fp32", False)
    with runtime.autocast():
        assert torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype == torch.float32


def test_bf16_computes_in_bf16():
    with resolve("cpu", "bf16").autocast():
        assert torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype == torch.bfloat16


@pytest.mark.parametrize("word", ["gpu", "tpu:x", "meta", ""])
def test_an_unknown_device_is_refused(word):
    with pytest.raises(RecipeError, match="use auto, cpu, cuda or mps"):
        find_device(word)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_device_that_is_not_there_is_a_lack_of_resources():
    with pytest.raises(ResourceError, match="no cuda device"):
        resolve("cuda", "auto")


def test_threads_are_set_for_a_while():
    before = torch.get_num_threads()
    with Runtime("cpu", "fp32", False, before + 1).active():
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_peak_memory_is_that_of_a_process_with_torch_in_it():
    assert 50 < peak_memory_mb("cpu") < 100_000
