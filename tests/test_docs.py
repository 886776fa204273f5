"""The documents say what the code does: their blocks are run, their tables compared with it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from i2i.kinds import KINDS
from i2i.registry import Registrar
from i2i.schema import schema_of

ROOT = Path(__file__).parents[1]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.S)


def i2i(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "i2i", *arguments]
    return subprocess.run(line, capture_output=True, text=True, cwd=cwd, timeout=300)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(blocks(CONTRIBUTING, "python")[0])
    return tmp_path


def test_the_first_plug_in_of_the_authors_book_trains_and_is_shown(mine, gan_like_pix2pix):
    shown = i2i("components", "show", "local/shallow", "--plugin", "mine.py", cwd=mine)
    assert shown.returncode == 0, shown.stderr
    assert "channels between them." in shown.stdout
    trained = i2i(
        *("run", str(gan_like_pix2pix), "--plugin", "mine.py", "--set", "generator.use=local/shallow"),
        *("--steps", "2", "--out", "out"),
        cwd=mine,
    )
    assert trained.returncode == 0, trained.stderr
    translated = i2i(
        *("translate", "out/model.safetensors", str(gan_like_pix2pix.parent / "pairs/val"), "coloured"),
        *("--plugin", "mine.py"),
        cwd=mine,
    )
    assert translated.returncode == 0, translated.stderr


@pytest.fixture
def gan_like_pix2pix(tmp_path: Path) -> Path:
    """The README's recipe for one's own pairs, at a size that trains in a second."""
    from PIL import Image

    for split in ("train", "val"):
        folder = tmp_path / "pairs" / split
        folder.mkdir(parents=True)
        for index in range(2):
            Image.effect_noise((32, 16), 80).convert("RGB").save(folder / f"{index}.png")
    text = next(block for block in blocks(README, "toml") if 'extends = "pix2pix"' in block)
    text = text.replace('"my-pairs"', f'"{tmp_path / "pairs"}"').replace("[256, 256]", "[16, 16]")
    text = text.replace("depth = 8", "depth = 3").replace("width = 64", "width = 4").replace("286", "18")
    text = text.replace("[discriminators.patch]", "[discriminators.patch]\nreceptive_field = 16")
    text += '\n[train]\nsteps = 2\n\n[metrics.ssim]\nuse = "ssim"\n'
    (tmp_path / "mine.toml").write_text(text)
    return tmp_path / "mine.toml"


def test_the_readmes_recipe_for_own_pairs_trains(gan_like_pix2pix, tmp_path):
    done = i2i("run", "mine.toml", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().splitlines()[-1].split() == ["model", "out/model.safetensors"]


def test_the_table_of_kinds_is_that_of_the_code():
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|", CONTRIBUTING, flags=re.M)
    told = {name: (listed(injected), listed(keys)) for name, injected, keys in rows}
    real = {
        kind.name.replace("-", "_"): (
            set(kind.injected),
            set(schema_of(kind.settings, owner=kind.name).names),
        )
        for kind in KINDS.values()
    }
    assert told == real


def test_every_kind_has_its_method_on_the_registrar():
    assert all(hasattr(Registrar, name.replace("-", "_")) for name in KINDS)


def listed(cell: str) -> set[str]:
    return set() if cell.strip() == "-" else {name.strip() for name in cell.split(",")}


def test_the_blocks_of_toml_parse():
    for block in (*blocks(CONTRIBUTING, "toml"), *blocks(README, "toml")):
        assert tomllib.loads(block)


def test_the_error_shown_in_the_readme_is_the_one_that_is_printed(tmp_path):
    text = (ROOT / "recipes" / "pix2pix.toml").read_text().replace("\ndepth = 6", "\ndept = 6")
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "pix2pix.toml").write_text(text)
    done = i2i("recipe", "check", "recipes/pix2pix.toml", cwd=tmp_path)
    assert done.returncode == 2
    line = next(n for n, content in enumerate(text.splitlines(), 1) if content.startswith("dept = 6"))
    shown = next(block for block in blocks(README, "text") if "dept'" in block)
    assert shown.strip().replace(":21", f":{line}") == done.stderr.strip()


def test_both_commands_of_the_readme_name_files_that_are_there():
    assert (ROOT / "recipes" / "pix2pix.toml").is_file()
    assert (ROOT / "requirements-dev.txt").is_file()
    commands = "\n".join(blocks(README, "console"))
    assert "python -m pip install -e . -e plugins/i2i-openmoji && i2i run recipes/pix2pix.toml" in commands
    test_command = "python -m pip install -r requirements-dev.txt && python -m pytest"
    assert test_command in commands
    assert f"\n{test_command}\n" in (ROOT / ".ci" / "run").read_text()


def test_links_in_the_documents_lead_somewhere():
    for text in (README, CONTRIBUTING):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
            assert (ROOT / target).exists(), target
