"""Any training state survives as tensors and JSON."""

from __future__ import annotations

import json

import pytest
import torch

from i2i.runs import state


def test_an_optimizers_state_comes_back_with_its_number_keys_and_tuples():
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([parameter], betas=(0.5, 0.9))
    parameter.sum().backward()
    optimizer.step()
    tensors, skeleton = state.pack(optimizer.state_dict())
    back = state.unpack(tensors, json.loads(json.dumps(skeleton)))
    assert back["param_groups"] == optimizer.state_dict()["param_groups"]
    assert torch.equal(back["state"][0]["exp_avg"], optimizer.state_dict()["state"][0]["exp_avg"])


@pytest.mark.parametrize(
    "value", [None, True, 3, 0.1, "x", [], (), {}, [1, (2, {"a": None, 3: [4.5]})], {"tensor": "no tensor"}]
)
def test_plain_values_come_back_equal_and_of_the_same_type(value):
    tensors, skeleton = state.pack(value)
    back = state.unpack(tensors, json.loads(json.dumps(skeleton)))
    assert (back, type(back)) == (value, type(value))


def test_what_is_neither_tensor_nor_json_is_refused():
    with pytest.raises(TypeError, match=r"not set at a$"):
        state.pack({"a": {1, 2}})
