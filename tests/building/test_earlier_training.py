"""Starting from an earlier training: the generator, the discriminators that fit, and words for the rest."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch

from i2i import run
from i2i.building.components import build_networks
from i2i.building.earlier_training import start_from
from i2i.errors import DataError, RecipeError
from i2i.kinds import ImageSpec, PairSpec
from i2i.runs import weights

SPEC = PairSpec(ImageSpec(3, 16, 16), ImageSpec(3, 16, 16))


@pytest.fixture
def earlier(load, tmp_path) -> Path:
    """The folder of a finished run of the toy recipe, with checkpoints of the steps 3 and 6."""
    return run(load("train.steps=6"), tmp_path / "earlier").folder


def tensors_of(path: Path) -> dict[str, torch.Tensor]:
    return weights.read(path).tensors


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_runs_folder_starts_the_generator_and_the_discriminator(load, earlier):
    recipe, notes = start_from(load(), SPEC, earlier)
    networks = build_networks(recipe, SPEC)
    model, judge = (
        earlier / "model.safetensors",
        earlier / "checkpoints/000006/discriminators.judge.safetensors",
    )
    assert same(networks.generators["main"].state_dict(), tensors_of(model))
    assert same(networks.judges["judge"].module.state_dict(), tensors_of(judge))
    told = f"generators.main from {model}, discriminators.judge from {judge}"
    assert notes == [f"Started from an earlier training: {told}."]


def test_it_is_as_if_the_recipe_itself_said_so(load, earlier):
    recipe, _ = start_from(load(), SPEC, earlier)
    judge = earlier / "checkpoints/000006/discriminators.judge.safetensors"
    settings = (
        f"generator.init_from={earlier / 'model.safetensors'}",
        f"discriminators.judge.init_from={judge}",
    )
    assert recipe.table == load(*settings).table
    assert {path: slot.settings for path, slot in recipe.slots.items()} == {
        path: slot.settings for path, slot in load(*settings).slots.items()
    }


def test_a_checkpoints_folder_starts_both_from_its_own_step(load, earlier):
    place = earlier / "checkpoints" / "000003"
    networks = build_networks(start_from(load(), SPEC, place)[0], SPEC)
    assert same(networks.generators["main"].state_dict(), tensors_of(place / "generator.safetensors"))
    judge = tensors_of(place / "discriminators.judge.safetensors")
    assert same(networks.judges["judge"].module.state_dict(), judge)


def test_a_damaged_checkpoint_starts_nothing(load, earlier):
    place = earlier / "checkpoints" / "000003"
    (place / "generator.safetensors").write_bytes(b"x")
    with pytest.raises(DataError, match=r"000003 is no sound checkpoint"):
        start_from(load(), SPEC, place)


def test_a_model_file_starts_the_generator_alone_and_says_so(load, earlier, tmp_path):
    recipe, notes = start_from(load(), SPEC, earlier / "model.safetensors")
    assert recipe.slots["generators.main"].settings.init_from == earlier / "model.safetensors"
    assert recipe.slots["discriminators.judge"].settings.init_from is None
    assert notes[1].startswith("discriminators.judge starts anew: ")
    assert f"holds the generator alone; {earlier}, the run's folder, has the others too." in notes[1]
    alone = Path(shutil.copy(earlier / "model.safetensors", tmp_path / "alone.safetensors"))
    assert start_from(load(), SPEC, alone)[1][1].endswith("alone.safetensors holds the generator alone.")


def test_a_run_whose_checkpoints_are_gone_starts_the_generator_alone(load, earlier):
    shutil.rmtree(earlier / "checkpoints")
    _, notes = start_from(load(), SPEC, earlier)
    reason = f"{earlier} has no checkpoint, and its model is the generator alone."
    assert notes[1:] == [f"discriminators.judge starts anew: {reason}"]


def test_nothing_is_said_of_discriminators_where_the_recipe_has_none(load, earlier):
    plain = load(unset=("discriminators", "losses.adversarial", "optimizers.discriminators"))
    assert len(start_from(plain, SPEC, earlier / "model.safetensors")[1]) == 1


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (("discriminators.judge.use=toys/two-scales",), r"it is toys/two-scales, and .* holds toys/tiny\."),
        (
            ("discriminators.judge.conditional=false",),
            r"does not fit toys/tiny: parameters 1 of another shape",
        ),
    ],
)
def test_a_discriminator_that_does_not_fit_starts_anew_and_is_told(load, earlier, settings, reason):
    fresh = load(*settings)
    recipe, (_, note) = start_from(fresh, SPEC, earlier)
    assert recipe.slots["discriminators.judge"] == fresh.slots["discriminators.judge"]
    assert recipe.slots["generators.main"].settings.init_from is not None
    assert note.startswith("discriminators.judge starts anew: ")
    assert re.search(reason, note)


def test_a_discriminator_under_another_name_starts_anew(load, earlier):
    renamed = load("discriminators.other.use=toys/tiny", unset=("discriminators.judge",))
    _, (_, note) = start_from(renamed, SPEC, earlier)
    has = "it has discriminators.judge, generators.main"
    assert note == f"discriminators.other starts anew: {earlier} has no network of that name ({has})."


def test_a_network_that_the_command_line_starts_by_itself_keeps_that(load, earlier, tmp_path):
    own = run(load("train.steps=1", "seed=1"), tmp_path / "own").folder / "model.safetensors"
    recipe, _ = start_from(load(f"generator.init_from={own}"), SPEC, earlier)
    assert recipe.slots["generators.main"].settings.init_from == own
    assert recipe.slots["discriminators.judge"].settings.init_from is not None


def test_a_start_in_the_recipes_file_gives_way(load, gan, earlier):
    gan.write_text(gan.read_text().replace("[generator]\n", '[generator]\ninit_from = "other.safetensors"\n'))
    recipe, _ = start_from(load(), SPEC, earlier)
    assert recipe.slots["generators.main"].settings.init_from == earlier / "model.safetensors"


def test_all_networks_of_a_method_with_two_generators_start(two_way, tmp_path):
    from i2i import load_recipe

    earlier = run(load_recipe(two_way), tmp_path / "earlier").folder
    spec = PairSpec(ImageSpec(1, 16, 16), ImageSpec(3, 16, 16))
    recipe, notes = start_from(load_recipe(two_way), spec, earlier)
    networks = {
        slot.path: slot for section in ("generators", "discriminators") for slot in recipe.section(section)
    }
    files = {path: slot.settings.init_from.name for path, slot in networks.items()}
    assert files == {path: f"{path}.safetensors" for path in files} | {
        "generators.there": "model.safetensors"
    }
    assert len(notes) == 1


def test_a_generator_of_another_make_says_what_both_are_and_what_fits(load, earlier):
    with pytest.raises(RecipeError) as caught:
        start_from(load("generator.width=8"), SPEC, earlier)
    text = str(caught.value)
    assert text.startswith(f"--init-from {earlier}  generator.init_from\n")
    assert "model.safetensors (width = 4) does not fit toys/tiny (width = 8): parameters" in text
    assert "(a network that fits: --set generator.width=4)" in text


def test_another_generator_says_which_it_is_with_all_it_is_made_of(load, earlier):
    with pytest.raises(RecipeError) as caught:
        start_from(load("generator.use=encoder-decoder", "generator.depth=2"), SPEC, earlier)
    text = str(caught.value)
    assert "model.safetensors (use = toys/tiny, dropout = 0.2, width = 4) does not fit" in text
    assert "does not fit core/encoder-decoder (use = core/encoder-decoder, " in text
    assert "--set generator.use=toys/tiny --set generator.dropout=0.2 --set generator.width=4" in text


def test_other_channels_are_told_with_the_datas(load, earlier):
    with pytest.raises(RecipeError) as caught:
        start_from(load(), PairSpec(ImageSpec(1, 16, 16), ImageSpec(3, 16, 16)), earlier)
    text = str(caught.value)
    assert "model.safetensors (in_channels = 3) does not fit toys/tiny (in_channels = 1)" in text
    assert "channels are those of the data, 1 in where the model has 3" in text


def test_data_that_can_change_its_channels_are_told_how(load, earlier):
    paired = load("data.use=paired-images", "data.root=pairs")
    with pytest.raises(RecipeError, match=r"--set data\.source_channels=3 where nothing is lost by that"):
        start_from(paired, PairSpec(ImageSpec(1, 16, 16), ImageSpec(3, 16, 16)), earlier)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"nothing\.safetensors cannot be read: No such file"),
        (b"not a model", r"nothing\.safetensors is not a weights file"),
    ],
)
def test_a_file_that_is_no_model_is_refused(load, tmp_path, content, message):
    path = tmp_path / "nothing.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        start_from(load(), SPEC, path)


def test_a_folder_without_a_model_and_a_discriminators_file_are_refused(load, earlier, tmp_path):
    with pytest.raises(DataError, match=r"holds no run; give the folder of one, or a model file"):
        start_from(load(), SPEC, tmp_path)
    judge = earlier / "checkpoints" / "000006" / "discriminators.judge.safetensors"
    with pytest.raises(DataError, match=r"describes no generator"):
        start_from(load(), SPEC, judge)
