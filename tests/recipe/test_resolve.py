"""A recipe's tables against the components they name: every mistake, with its place and its cure."""

from __future__ import annotations

import pytest

from i2i.errors import PluginError, RecipeError
from i2i.recipe.recipe import load_recipe


@pytest.fixture
def told(recipe_file):
    """Return a function that breaks a sound recipe and returns what is said about it."""

    def tell(old: str = "", new: str = "", *, settings=(), unset=(), kind=RecipeError) -> str:
        with pytest.raises(kind) as refused:
            load_recipe(recipe_file(old=old, new=new), set=settings, unset=unset)
        assert type(refused.value) is kind
        return str(refused.value)

    return tell


# --- keys and values ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "depth = 5",
            "dept = 5",
            "x.toml:10  generator.dept\n  unknown key 'dept' for bits/net - did you mean 'depth'?"
            "   (keys: depth, dropout, kernel, norm, table, width)",
        ),
        (
            "depth = 5",
            "inti = 'normal'",
            "x.toml:10  generator.inti\n  unknown key 'inti' for bits/net - did you mean 'init'?"
            "   (keys: depth, dropout, kernel, norm, table, width)",
        ),
        (
            "depth = 5",
            "lr = 5",
            "x.toml:10  generator.lr\n  unknown key 'lr' for bits/net - it belongs in [optimizers.generators]"
            "   (keys: depth, dropout, kernel, norm, table, width)",
        ),
        ("depth = 5", "batch_size = 5", "unknown key 'batch_size' for bits/net - it belongs in [data]"),
        ("depth = 5", "epochs = 5", "unknown key 'epochs' for bits/net - it belongs in [train]"),
        ("depth = 5", "seed = 5", "unknown key 'seed' for bits/net - it belongs above the first table"),
        ("depth = 5", "weight = 5", "unknown key 'weight' for bits/net - it belongs in [losses.NAME]"),
        (
            "weight = 100",
            "depth = 5",
            "unknown key 'depth' for bits/distance - it belongs in [generator]   (keys: part, weight)",
        ),
        (
            "weight = 100",
            "zzz = 5",
            "x.toml:20  losses.l1.zzz\n  unknown key 'zzz' for bits/distance   (keys: part, weight)",
        ),
        (
            "steps = 100",
            "stps = 100",
            "x.toml:36  train.stps\n  unknown key 'stps' for [train] - did you mean 'steps'?",
        ),
        (
            "steps = 100",
            "steps = 100\nlr = 1",
            "unknown key 'lr' for [train] - it belongs in [optimizers.NAME]",
        ),
        (
            'name = "bits"',
            'name = "bits"\nsteps = 3',
            "x.toml:3  steps\n  unknown key 'steps' for a recipe - it belongs in [train]",
        ),
        (
            "[metrics.error]",
            "[metrcs.error]",
            "x.toml:38  metrcs\n  unknown key 'metrcs' for a recipe - did you mean 'metrics'?",
        ),
        (
            "[metrics.error]",
            "[metric]",
            "x.toml:38  metric\n  there is no [metric] in a recipe; write [metrics.NAME]",
        ),
        (
            "[metrics.error]",
            "[loss.error]",
            "x.toml:38  loss\n  there is no [loss] in a recipe; write [losses.NAME]",
        ),
        (
            "depth = 5",
            "in_channels = 3",
            "x.toml:10  generator.in_channels\n"
            "  'in_channels' is given to bits/net by i2i itself; leave it out",
        ),
        ("depth = 5", "out_channels = 3", "'out_channels' is given to bits/net by i2i itself; leave it out"),
        (
            "depth = 5",
            "depth = 0",
            "x.toml:10  generator.depth\n  'depth' cannot be 0: it should be greater than or equal to 1",
        ),
        (
            "depth = 5",
            "norm = 'bach'",
            "'norm' cannot be \"bach\" - did you mean 'batch'?   (values: batch, instance)",
        ),
        ("depth = 5", "init = 'nrmal'", "'init' cannot be \"nrmal\" - did you mean 'normal'?"),
        ("depth = 5", "dropout = 2024-01-01", "a date or time is no value for 'dropout'"),
        ('root = "images"', "", "x.toml:5  data.root\n  bits/squares needs 'root' (path)"),
        (
            'use = "bits/net"',
            "",
            "x.toml:8  generator.use\n  [generator] needs `use`, the generator in quotes",
        ),
        (
            'use = "bits/game"',
            "use = 3",
            "x.toml:16  losses.adversarial.use\n  [losses.adversarial] needs `use`, the loss in quotes",
        ),
        (
            'use = "bits/net"',
            'use = "bits/nett"',
            "x.toml:9  generator.use\n  no generator 'nett' in plug-in 'bits' - did you mean 'net'?",
        ),
        ('use = "bits/net"', 'use = "bits/judge"', "'bits/judge' is a discriminator, not a generator"),
    ],
)
def test_a_mistaken_key_or_value(told, old: str, new: str, message: str):
    assert message in told(old, new)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '[generator]\nuse = "bits/net"\ndepth = 5',
            '[generators]\nmain = "net"',
            "x.toml:9  generators.main\n  [generators] holds tables alone",
        ),
        (
            '[losses.l1]\nuse = "bits/distance"\nweight = 100',
            "[losses]\nl1 = 3",
            "[losses] holds tables alone",
        ),
        (
            '[metrics.error]\nuse = "bits/error"',
            '[metrics]\nuse = "bits/error"',
            "x.toml:39  metrics.use\n  [metrics] holds tables alone",
        ),
        (
            '[metrics.error]\nuse = "bits/error"',
            "[[metrics]]\nuse = 'x'",
            "x.toml:38  metrics\n  'metrics' is a table: write [metrics.NAME] and `use`",
        ),
        (
            '[metrics.error]\nuse = "bits/error"',
            "[metrics.'a/b']\nuse = 'x'",
            "a table's name is made of a-z, 0-9, '_' and '-', at most 64 of them",
        ),
        (
            '[metrics.error]\nuse = "bits/error"',
            "[metrics.Error]\nuse = 'x'",
            "a table's name is made of a-z",
        ),
        ("[train]\nsteps = 100", "", "the recipe has no [train]"),
        (
            "[train]\nsteps = 100",
            "[[train]]\nsteps = 100",
            "x.toml:35  train\n  'train' is a table: write [train]",
        ),
        (
            '[optimizers.discriminators]\nuse = "bits/walk"',
            '[optimizers.discriminators.patch]\nuse = "bits/walk"',
            "[optimizers.discriminators] needs `use`, the optimizer in quotes; "
            'for one network alone write [optimizers."discriminators.patch"]',
        ),
    ],
)
def test_what_is_no_table_of_components(told, old: str, new: str, message: str):
    assert message in told(old, new)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "bits"', "", "x.toml  name\n  a recipe needs 'name' (string)"),
        ('name = "bits"', 'name = "../bits"', "x.toml:2  name\n  a recipe's name becomes a folder's"),
        ('name = "bits"', 'name = ""', "a recipe's name becomes a folder's"),
        (
            'name = "bits"',
            'name = "b"\nseed = 4294967296',
            "'seed' cannot be 4294967296: it should be less than 4294967296",
        ),
        (
            'name = "bits"',
            'name = "b"\nsummary = "two\\nlines"',
            "x.toml:3  summary\n  a summary is one line",
        ),
        (
            "steps = 100",
            "",
            "x.toml:35  train\n  [train] has one of `steps`, `epochs` and `minutes`; here it has none",
        ),
        (
            "steps = 100",
            "steps = 100\nepochs = 2",
            "x.toml:37  train.epochs\n"
            "  [train] has one of `steps`, `epochs` and `minutes`; here it has `steps` and `epochs`",
        ),
        ("steps = 100", "steps = 100\nema = 1", "'ema' cannot be 1: it should be less than 1"),
        ("steps = 100", "steps = 100\nprecision = 'fp8'", "(values: auto, fp32, bf16, fp16)"),
        (
            "steps = 100",
            "steps = 100\nsave_best = 'error'",
            "`save_best` names a figure and which way is better",
        ),
        (
            "steps = 100",
            "steps = 100\npatience = 3",
            "x.toml:37  train.patience\n  `patience` waits for a better `save_best` figure: add one",
        ),
        ("steps = 100", "steps = 100\nthreads = 0", "'threads' cannot be 0"),
    ],
)
def test_the_recipes_own_keys(told, old: str, new: str, message: str):
    assert message in told(old, new)


def test_all_mistakes_are_told_at_once_in_file_order(told):
    text = told(
        'use = "bits/net"\ndepth = 5',
        'use = "bits/net"\ndept = 5\nwidht = 3',
        settings=["losses.l1.wieght=1", "data.use=nobody/x"],
        unset=["metrics.eror"],
    )
    assert [line for line in text.splitlines() if not line.startswith(" ")] == [
        "x.toml:10  generator.dept",
        "x.toml:11  generator.widht",
        "--set losses.l1.wieght=1  losses.l1.wieght",
        "--set data.use=nobody/x  data.use",
        "--unset metrics.eror  metrics.eror",
    ]


def test_a_generator_that_is_only_a_name(recipe_file):
    with pytest.raises(RecipeError) as refused:
        load_recipe(recipe_file('recipe = 1\ngenerator = "net"\n'))
    assert "x.toml:2  generator\n  [generators] holds tables alone" in str(refused.value)


# --- plug-ins -------------------------------------------------------------------------------------


def test_plug_ins_alone_at_fault_are_a_plug_in_error(told):
    text = told('use = "bits/net"', 'use = "nobody/net"', kind=PluginError)
    assert text.startswith("x.toml:9  generator.use\n  'nobody/net' needs a plug-in that provides 'nobody'")


def test_a_mistake_beside_them_makes_it_a_recipe_error(told):
    text = told('use = "bits/net"', 'use = "nobody/net"', settings=["seed=-1"], kind=RecipeError)
    assert "provides 'nobody'" in text
    assert "'seed' cannot be -1" in text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import nowhere", "could not be loaded from 'i2i_odd.parts:Net': ModuleNotFoundError"),
        ("Net = 3", "'i2i_odd.parts:Net' is neither a class nor a function"),
        ("def Net(**options): ...", "parameter '**options' is refused"),
        ("def Net(*, depth=3): ...", "parameter 'depth' needs an annotation"),
    ],
)
def test_a_component_that_cannot_be_read_is_told_at_its_use(told, distribution, source: str, message: str):
    init = (
        "from i2i import hookimpl\ni2i_api = 1\n@hookimpl\ndef i2i_register(registry):\n"
        "    registry.generator('net', 'i2i_odd.parts:Net', 'a net')\n"
    )
    distribution("i2i-odd", "0.1", "odd", {"i2i_odd/__init__.py": init, "i2i_odd/parts.py": source})
    text = told('use = "bits/net"\ndepth = 5', 'use = "odd/net"', kind=PluginError)
    assert text.startswith("x.toml:9  generator.use\n")
    assert message in text


def test_a_plug_in_that_fails_is_told_once(told, distribution):
    distribution("i2i-broken", "0.1", "broken", {"i2i_broken.py": "1 / 0"})
    text = told(settings=["generator.use=broken/a", "losses.l1.use=broken/b"], kind=PluginError)
    assert text.count("ZeroDivisionError") == 1
