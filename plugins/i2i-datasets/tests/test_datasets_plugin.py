"""The package as i2i finds it: what it declares, the contract of its data set, and what is in its sample."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import i2i_datasets
import pytest
from i2i_datasets.pairs import Pairs

from i2i.cli import main as i2i_main
from i2i.registry import Registrar
from i2i.testing import parametrize_components


@parametrize_components("datasets/*")
def test_the_contract(check) -> None:
    check()


@parametrize_components("datasets/*")
def test_the_contract_of_a_folder_that_the_library_wrote(check, tmp_path) -> None:
    from datasets import load_from_disk

    sample = load_from_disk(Pairs.small["root"])
    for split in sample:
        sample[split] = sample[split].rename_columns({"source": "in", "target": "out"})
    sample.save_to_disk(tmp_path / "saved")
    check(root=tmp_path / "saved", source="in", target="out")


def registered() -> Registrar:
    registrar = Registrar("datasets", module="i2i_datasets", distribution="i2i-datasets", version="0.1.0")
    i2i_datasets.i2i_register(registrar)
    return registrar


def test_it_declares_one_data_set_that_loads() -> None:
    (entry,) = registered().entries
    assert (entry.kind, entry.ref) == ("data", "datasets/pairs")
    assert entry.load() is Pairs


def test_its_read_me_tells_of_everything_that_it_declares_and_of_nothing_else() -> None:
    text = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
    told = set(re.findall(r"\bdatasets/pairs\b", text))
    assert told == {entry.ref for entry in registered().entries}
    for block in re.findall(r"```toml\n(.*?)```", text, flags=re.S):
        assert tomllib.loads(block)


def test_importing_the_plug_in_imports_nothing_heavy() -> None:
    paths = os.pathsep.join(path for path in sys.path if path)
    answer = subprocess.run(
        [sys.executable, "-c", "import i2i_datasets, sys; print(*sys.modules)"],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert not {"torch", "PIL", "numpy", "pyarrow", "datasets"} & set(answer.stdout.split())


def test_its_sample_has_pairs_for_all_splits() -> None:
    root = Path(Pairs.small["root"])
    assert [len(Pairs(split, root=root)) for split in ("train", "val", "test")] == [20, 2, 2]
    assert Pairs("val", root=root)[1]["source"].shape == (3, 16, 16)


def test_i2i_checks_a_pack_like_any_data(tmp_path, capsys) -> None:
    recipe = tmp_path / "mine.toml"
    root = Pairs.small["root"]
    recipe.write_text(f'recipe = 1\nname = "mine"\n[data]\nuse = "datasets/pairs"\nroot = "{root}"\n')
    with pytest.raises(SystemExit) as ended:
        i2i_main(["data", "check", str(recipe)])
    assert ended.value.code == 0
    assert "no problem; 24 of 24 pairs can be used" in capsys.readouterr().out
