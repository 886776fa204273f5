"""Files of weights from elsewhere: old ones are read, and what is no such file is refused in a sentence."""

from __future__ import annotations

import os
import pickle
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from i2i.core.discriminators.patch import Patch
from i2i.core.generators.resnet import ResNet
from i2i.errors import DataError, RecipeError, ResourceError
from i2i.models.importing import import_weights
from i2i.plugins.catalog import Catalog
from i2i.runs import weights
from i2i.torch_files import read_tensors

CATALOG = Catalog.installed()


def patch(norm: Any = "batch") -> dict[str, Tensor]:
    """The tensors of a small patch discriminator, whose names are those of the reference."""
    torch.manual_seed(0)
    return dict(Patch(in_channels=6, width=2, layers=2, norm=norm).state_dict())


def saved(state: Any, folder: Path, **options: Any) -> Path:
    torch.save(state, folder / "net.pth", **options)
    return folder / "net.pth"


def imported(state: Any, folder: Path, **options: Any) -> Path:
    import_weights(saved(state, folder, **options), folder / "net.safetensors", catalog=CATALOG)
    return folder / "net.safetensors"


def test_names_from_wrapped_networks_are_unwrapped(tmp_path: Path) -> None:
    plain = weights.read(imported(patch(), tmp_path)).tensors
    for prefix in ("module.", "_orig_mod.", "module._orig_mod."):
        state = {f"{prefix}{name}": value for name, value in patch().items()}
        wrapped = weights.read(imported(state, tmp_path)).tensors
        assert wrapped.keys() == plain.keys()
        assert all(torch.equal(wrapped[name], plain[name]) for name in plain)


def test_batch_norms_without_counters_and_the_older_file_format_are_read(tmp_path: Path) -> None:
    state = {name: value for name, value in patch().items() if not name.endswith("num_batches_tracked")}
    tensors = weights.read(imported(state, tmp_path, _use_new_zipfile_serialization=False)).tensors
    assert tensors["model.3.num_batches_tracked"].item() == 0
    assert all(torch.equal(tensors[name], value) for name, value in state.items())


def test_averages_of_instance_norms_are_left_out(tmp_path: Path) -> None:
    averages = {f"model.3.{part}": torch.ones(4) for part in ("running_mean", "running_var")}
    counter = {"model.3.num_batches_tracked": torch.tensor(3)}
    tensors = weights.read(imported(patch("instance") | averages | counter, tmp_path)).tensors
    assert tensors.keys() == patch("instance").keys()


def test_half_precision_becomes_single(tmp_path: Path) -> None:
    state = {name: value.half() for name, value in patch("instance").items()}
    tensors = weights.read(imported(state, tmp_path)).tensors
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


def test_importing_and_translating_from_the_command_line(tmp_path: Path, i2i) -> None:
    torch.save(ResNet(in_channels=3, out_channels=3, blocks=6, width=2).state_dict(), tmp_path / "net.pth")
    model = tmp_path / "new" / "model.safetensors"
    ended = i2i("import", str(tmp_path / "net.pth"), "--out", str(model))
    assert ended.code == 0, ended.err
    assert "is core/resnet with blocks = 6, width = 2, norm = instance, dropout = 0.0" in ended.out
    Image.effect_noise((30, 21), 60).convert("RGB").save(tmp_path / "in.png")
    ended = i2i("translate", str(model), str(tmp_path / "in.png"), str(tmp_path / "out.png"))
    assert ended.code == 0, ended.err
    with Image.open(tmp_path / "out.png") as image:
        assert (image.size, image.mode) == ((30, 21), "RGB")


# --- what is no such file ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (
            {"conv1.weight": torch.zeros(8, 3, 7, 7), "fc.bias": torch.zeros(8)},
            r"no network that can be imported by the layouts that are installed "
            r"\(core/pix2pix-unet, core/pix2pix-resnet, .+\): its first tensor is 'conv1.weight'",
        ),
        ({"model.model.x": torch.zeros(1)}, "looks like a U-Net, but 'model.model.0.weight' is missing or"),
        ({"model.1.conv_block.x": torch.zeros(1)}, "looks like a ResNet, but 'model.1.weight' is missing or"),
        ({"net.0.x": torch.zeros(1)}, "looks like a pixel discriminator, but 'net.0.weight' is missing or"),
        (
            {"model.0.weight": torch.zeros(2, 6, 4, 4), "model.2.x": torch.zeros(1)},
            "looks like a patch discriminator, but core/patch cannot be one: 'layers' cannot be 0: it should",
        ),
        ({"epoch": 3}, "holds more than tensors by name: 'epoch' is of type int"),
        ({"model": {"model.0.weight": torch.zeros(1)}}, "more than tensors by name: 'model' is of type dict"),
        ([torch.zeros(1)], "holds no tensors by name"),
        ({}, "holds no tensors by name"),
        ({"model.0.weight": torch.zeros(1).expand(10**9)}, "claims more numbers than it holds"),
        ({"model.0.weight": torch.eye(4).to_sparse()}, "'model.0.weight' is sparse, quantised or empty"),
        ({"model.0.weight": torch.zeros(2, device="meta")}, "'model.0.weight' is sparse, quantised or empty"),
        (
            {name: value.to(torch.int32) for name, value in patch().items()},
            r"'model.0.weight' holds torch.int32 and not torch.float32",
        ),
    ],
    ids=range(13),
)
def test_a_file_without_a_known_network_is_refused(tmp_path: Path, state: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as refused:
        imported(state, tmp_path)
    assert str(refused.value).count("\n") == 0


class Trap:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("save", [torch.save, lambda thing, path: path.write_bytes(pickle.dumps(thing))])
def test_a_file_that_would_run_something_is_refused_and_runs_nothing(tmp_path: Path, save) -> None:
    save({"model.0.weight": Trap(tmp_path / "caught")}, tmp_path / "net.pth")
    with pytest.raises(DataError, match="is not a file of tensors that torch wrote, or it is damaged"):
        import_weights(tmp_path / "net.pth", tmp_path / "out.safetensors", catalog=CATALOG)
    assert not (tmp_path / "caught").exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x02.", b"PK\x03\x04"])
def test_a_file_of_another_kind_ends_the_command_with_3_and_a_sentence(
    tmp_path: Path, i2i, content: bytes
) -> None:
    (tmp_path / "net.pth").write_bytes(content)
    (tmp_path / "out").write_bytes(b"an earlier one")
    ended = i2i("import", str(tmp_path / "net.pth"), "--out", str(tmp_path / "out"))
    assert (ended.code, ended.out) == (3, "")
    assert ended.err == f"{tmp_path}/net.pth is not a file of tensors that torch wrote, or it is damaged.\n"
    ended = i2i("import", str(tmp_path / "none.pth"), "--out", str(tmp_path / "out"))
    assert (ended.code, ended.err) == (3, f"{tmp_path}/none.pth cannot be read: No such file or directory.\n")


def test_a_damaged_file_is_refused_whatever_is_wrong_with_it(tmp_path: Path) -> None:
    raw = saved(patch(), tmp_path).read_bytes()
    for place in range(0, len(raw), len(raw) // 40):
        (tmp_path / "net.pth").write_bytes(raw[:place])
        with pytest.raises(DataError, match="is not a file of tensors that torch wrote, or it is damaged"):
            import_weights(tmp_path / "net.pth", tmp_path / "out.safetensors", catalog=CATALOG)


def test_the_file_itself_is_not_overwritten(tmp_path: Path) -> None:
    path = saved(patch(), tmp_path)
    with pytest.raises(RecipeError, match="would be overwritten by its own import"):
        import_weights(path, path, catalog=CATALOG)


def test_a_torch_that_opens_pickles_unsafely_opens_none(tmp_path: Path, monkeypatch) -> None:
    path = saved(patch(), tmp_path)
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    with pytest.raises(ResourceError, match=r"only torch 2\.10 or newer opens safely; installed is 2\.9\.1"):
        import_weights(path, tmp_path / "out.safetensors", catalog=CATALOG)


# --- files that only claim to be weights ------------------------------------------------------------


def refused_at_once(path: Path, words: str) -> None:
    before = time.monotonic()
    with pytest.raises(DataError, match=words) as caught:
        import_weights(path, path.with_suffix(".safetensors"), catalog=CATALOG)
    assert str(path) in str(caught.value)
    assert time.monotonic() - before < 10


def zipped(path: Path, records: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in records.items():
            archive.writestr(name, content)
    return path


def test_a_small_zip_of_a_huge_record_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    records = {"net/data.pkl": b"\x80\x02}.", "net/data/0": bytes(100_000_000)}
    zipped(path, records, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1_000_000
    refused_at_once(path, r"would unpack [\d,]+ bytes to 100,000,0\d\d")


def test_a_zip_of_very_many_records_is_not_read(tmp_path: Path) -> None:
    records = {f"net/data/{number}": b"" for number in range(20_000)}
    refused_at_once(zipped(tmp_path / "net.pth", {"net/data.pkl": b"", **records}), "holds 20,001 records")


@pytest.mark.parametrize("older", [False, True])
def test_a_pickle_of_brackets_is_not_read(tmp_path: Path, older: bool) -> None:
    brackets = b"\x80\x02" + b"]" * 5_000_000 + b"."
    path = tmp_path / "net.pth"
    if older:
        path.write_bytes(brackets)
    else:
        zipped(path, {"net/data.pkl": brackets, "net/version": b"3"})
    most = "2,000,000" if older else "102,000"
    refused_at_once(path, f"describes its tensors in more than {most} bytes")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "net.pth")
    refused_at_once(tmp_path / "net.pth", "is no file, but a pipe")


def test_many_tensors_are_still_read(tmp_path: Path) -> None:
    state = {f"layers.{number}.a_long_name_of_a_weight": torch.ones(2) for number in range(3000)}
    torch.save(state, tmp_path / "new.pth")
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("new.pth", "old.pth"):
        assert read_tensors(tmp_path / name).keys() == state.keys()
