"""Every component of core keeps the contract that third parties are held to.

Networks are built as small as they say; everything else as it comes. What is missing here (weights that are
downloaded, an optional package) leaves checks unrun rather than failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from i2i.images import write_image
from i2i.kinds import ImageSpec
from i2i.testing import TinyPairs, parametrize_components

NOWHERE = "there/is/no/such/folder"

PARAMS = {
    "core/jitter": {"resize": [56, 60]},
    "core/diversity": {"draws": 2},
    "core/segmentation-score": {"epochs": 1, "width": 4, "pairs": 4},
    "core/label-accuracy": {"colours": [[0, 0, 0], [128, 128, 128], [255, 255, 255]], "tolerance": 160},
    # Nothing is fetched by a test.
    "core/lpips": {"weights": NOWHERE},
    "core/fid": {"weights": NOWHERE},
    "core/kid": {"weights": NOWHERE},
    "core/plateau": {"metric": "mae"},
}

EXPECTED = {
    "core/diversity": {
        "best-at-perfect": "it compares answers with each other, and perfect ones are all alike",
    },
    "core/segmentation-score": {
        "looks-at-fakes": "a segmenter that has seen four images once finds the same label everywhere",
    },
}


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of image pairs on disk, for the data set that reads them."""
    root = tmp_path_factory.mktemp("pairs")
    side = ImageSpec(3, 16, 16)
    for split in ("train", "val"):
        data = TinyPairs(split)
        for index in range(len(data)):
            for name, key in (("A", "source"), ("B", "target")):
                image = data[index][key].float() / 127.5 - 1
                path = root / f"{split}{name}" / f"{index}.png"
                path.parent.mkdir(exist_ok=True)
                write_image(path, image, spec=side)
    return root


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is made once among temporary files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("I2I_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@parametrize_components("core/*", params=PARAMS, expected_failures=EXPECTED)
def test_core_keeps_the_contract(check, request):
    if check.component in ("core/paired-images", "core/unpaired-images"):
        check(root=request.getfixturevalue("pairs"))
    else:
        check()


@parametrize_components(
    "core/patch",
    params={"width": 4, "spectral": True, "norm": "instance"},
)
def test_spectral_norm_keeps_the_contract(check):
    check()


@parametrize_components("core/paired-adversarial", params={"pool": 2})
def test_a_pool_keeps_the_contract(check):
    check()
