"""Which of several processes this one is, by the variables of a launcher."""

from __future__ import annotations

import pytest

from i2i.errors import RecipeError
from i2i.processes.launch import Launch, launched

TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "a",
    "MASTER_PORT": "29500",
}
SLURM = {
    "SLURM_JOB_ID": "1234567",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "6",
    "SLURM_NTASKS": "6",
    "SLURM_PROCID": "4",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_TASKS_PER_NODE": "3(x2)",
    "SLURM_JOB_NODELIST": "gpu[07-09,12],cpu1",
}


def test_without_a_launcher_and_as_its_only_one_a_process_is_by_itself():
    assert launched({}) == Launch()
    assert launched({**TORCHRUN, "WORLD_SIZE": "1", "RANK": "0"}) == Launch()


def test_torchruns_variables_say_which_process_this_is():
    address = {"MASTER_ADDR": "a", "MASTER_PORT": "29500"}
    assert launched(TORCHRUN) == Launch(3, 4, 1, 2, address)
    assert launched({**SLURM, **TORCHRUN}) == Launch(3, 4, 1, 2, address)


def test_slurms_variables_give_the_first_node_and_a_port_of_the_job():
    assert launched(SLURM) == Launch(4, 6, 1, 3, {"MASTER_ADDR": "gpu07", "MASTER_PORT": "19567"})
    given = launched({**SLURM, "MASTER_ADDR": "b", "MASTER_PORT": "7"})
    assert given.address == {"MASTER_ADDR": "b", "MASTER_PORT": "7"}


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("a1", "a1"), ("a1,a2", "a1"), ("n[3,5]", "n3"), ("n[01-04]-ib,x", "n01-ib"), ("n-a[2]", "n-a2")],
)
def test_the_first_of_slurms_nodes_is_where_all_meet(nodes, first):
    assert launched({**SLURM, "SLURM_JOB_NODELIST": nodes}).address["MASTER_ADDR"] == first


def test_a_batch_script_of_many_tasks_is_one_process():
    script = {key: value for key, value in SLURM.items() if not key.startswith("SLURM_STEP")}
    assert launched({**script, "SLURM_PROCID": "0"}) == Launch()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"RANK": ""}, "this is one of 4 processes by what its launcher has set, and RANK is not set"),
        ({"MASTER_PORT": ""}, "MASTER_PORT is not set"),
        ({"WORLD_SIZE": "many"}, "WORLD_SIZE = 'many' is no number"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE = '0' is no number"),
        ({"RANK": "4"}, "this is process 4 of 4, counted from 0"),
    ],
)
def test_variables_that_do_not_go_together_are_told(changes, told):
    with pytest.raises(RecipeError, match=told):
        launched({**TORCHRUN, **changes})
