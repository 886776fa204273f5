"""A factory's signature is the schema of its table."""

from __future__ import annotations

import dataclasses
import datetime
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt, Le, MultipleOf

from i2i.errors import PluginError
from i2i.kinds import KINDS
from i2i.plugins.schema import argument_help, bind, component_schema, describe, schema_of, slot_schema
from i2i.registry import Entry

if TYPE_CHECKING:
    from nowhere import Tensor


def make(
    *,
    depth: Annotated[int, Ge(2)] = 6,
    rate: Annotated[float, Ge(0), Le(1)] = 0.5,
    norm: Literal["batch", "instance", "none"] = "batch",
    betas: tuple[float, float] = (0.5, 0.999),
    root: Path = Path("."),
    layers: int | None = None,
    names: tuple[str, ...] = (),
    flag: bool = False,
) -> None:
    """Make it."""


SCHEMA = schema_of(make, owner="x/make")


@pytest.mark.parametrize(
    ("key", "value", "parsed"),
    [
        ("depth", 2, 2),
        ("rate", 1, 1.0),
        ("norm", "none", "none"),
        ("betas", [0, 0.9], (0.0, 0.9)),
        ("root", "a/b", Path("a/b")),
        ("layers", 3, 3),
        ("names", ["a", "b"], ("a", "b")),
        ("flag", True, True),
    ],
)
def test_toml_values_become_python_values_and_come_back(key: str, value: Any, parsed: Any):
    found = SCHEMA[key].parse(value)
    assert found == parsed
    assert type(found) is type(parsed)
    assert SCHEMA[key].parse(SCHEMA[key].dump(found)) == parsed


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("depth", 1, "'depth' cannot be 1: it should be greater than or equal to 2, like 6"),
        ("depth", "6", "'depth' cannot be \"6\": it should be a valid integer, like 6"),
        ("depth", 6.0, "'depth' cannot be 6.0: it should be a valid integer, like 6"),
        ("depth", 1000.0, "'depth' cannot be 1000.0: it should be a valid integer, like 1000"),
        ("depth", "many", "'depth' cannot be \"many\": it should be a valid integer, like 6"),
        ("depth", True, "'depth' cannot be true: it should be a valid integer, like 6"),
        ("rate", 1.5, "'rate' cannot be 1.5: it should be less than or equal to 1, like 0.5"),
        (
            "norm",
            "bach",
            "'norm' cannot be \"bach\" - did you mean 'batch'?   (values: batch, instance, none)",
        ),
        ("norm", 3, "'norm' cannot be 3: it should be 'batch', 'instance' or 'none'"),
        ("betas", [0.5], "'betas' cannot be [0.5]: it is [float, float], like [0.5, 0.999]"),
        ("betas", [0.5, "x"], "'betas' cannot be [0.5, \"x\"]: it is [float, float], like [0.5, 0.999]"),
        ("betas", "0.9,0.99", "'betas' cannot be \"0.9,0.99\": it should be a valid array, like [0.9, 0.99]"),
        ("root", 3, "'root' cannot be 3: it should be a valid string, like \".\""),
        ("flag", "yes", "'flag' cannot be \"yes\": it should be a valid boolean, like false"),
        ("flag", "True", "'flag' cannot be \"True\": it should be a valid boolean, like true"),
        ("names", "a", '\'names\' cannot be "a": it should be a valid array, like ["name"]'),
    ],
)
def test_a_refused_value_is_one_sentence(key: str, value: Any, message: str):
    with pytest.raises(ValueError, match="cannot be") as refused:
        SCHEMA[key].parse(value)
    assert str(refused.value) == message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_are_finite(value: float):
    with pytest.raises(ValueError, match="'rate' cannot be"):
        SCHEMA["rate"].parse(value)


def test_dates_and_long_values_are_told_shortly():
    with pytest.raises(ValueError, match="a date or time is no value for 'depth', like 6"):
        SCHEMA["depth"].parse(datetime.date(2024, 5, 1))
    with pytest.raises(ValueError, match="a date or time is no value for 'names'"):
        SCHEMA["names"].parse(["a", datetime.time(12)])
    with pytest.raises(ValueError, match="a _MISSING_TYPE is no value for 'depth'"):
        SCHEMA["depth"].parse(dataclasses.MISSING)
    with pytest.raises(ValueError, match="cannot be") as refused:
        SCHEMA["depth"].parse("x" * 1000)
    assert len(str(refused.value)) < 150


@pytest.mark.parametrize("word", ["2024", "2024-05-01", "true", "1e3", "0x10"])
def test_a_bare_word_is_the_text_that_it_was_where_a_text_is_wanted(word: str):
    value = tomllib.loads(f"x = {word}")["x"]
    reading = SCHEMA.read({"root": value, "depth": value}, {"root": word, "depth": word})
    assert reading.values["root"] == Path(word)
    assert "root" not in reading.errors
    assert SCHEMA.read({"root": value}).errors.keys() == {"root"}
    assert reading.errors.keys() <= {"depth"}
    assert reading.values["depth"] in (2024, 16) or "depth" in reading.errors


def test_a_regular_expression_is_text_that_compiles():
    def factory(*, group: re.Pattern[str] | None = None) -> None: ...

    schema = schema_of(factory, owner="x")
    reading = schema.read({"group": "^a"})
    assert reading.values["group"] == re.compile("^a")
    assert reading.toml == {"group": "^a"}
    told = '\'group\' cannot be "(": it should be a valid regular expression, like "^'
    assert schema.read({"group": "("}).errors["group"].startswith(told)


def test_reading_a_table_fills_in_defaults_and_leaves_none_out():
    reading = SCHEMA.read({"depth": 3, "rate": 2, "elsewhere": 1})
    assert reading.values["depth"] == 3
    assert reading.values["layers"] is None
    assert reading.toml["depth"] == 3
    assert reading.toml["root"] == "."
    assert "layers" not in reading.toml
    assert list(reading.errors) == ["rate"]


def test_what_is_required_and_missing_is_told_with_its_type():
    def needs(*, root: Path) -> None: ...

    assert schema_of(needs, owner="x/n").read({}).errors == {"root": "x/n needs 'root' (path)"}


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (Annotated[int, Ge(1)], "int >= 1"),
        (Annotated[float, Gt(0), Le(1)], "float > 0 and <= 1"),
        (Annotated[int, MultipleOf(8)], "int multiple of 8"),
        (Literal["a", "b"], '"a" | "b"'),
        (tuple[int, int], "[int, int]"),
        (tuple[str, ...], "[string, ...]"),
        (list[float], "[float, ...]"),
        (int | None, "int or left out"),
        (bool, "true | false"),
        (Path, "path"),
        (dict[str, int], "table"),
        (Mapping[str, int], "table"),
    ],
)
def test_annotations_in_the_words_of_a_recipe(annotation: Any, text: str):
    assert describe(annotation) == text


def test_injected_names_are_no_keys():
    def net(in_channels: int, out_channels: Tensor, *, depth: int = 1) -> None: ...

    schema = schema_of(net, owner="x/n", injected={"in_channels", "out_channels", "other"})
    assert schema.names == ["depth"]
    assert schema.injected == {"in_channels", "out_channels"}


class Plain:
    """A class without a constructor."""


class Greedy:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...


class Heir(Greedy):
    """Inherits a constructor that names nothing, as a plain nn.Module does."""


def test_a_class_may_take_nothing():
    assert schema_of(Plain, owner="x/p").parameters == ()
    assert schema_of(Heir, owner="x/h").parameters == ()


def test_a_dataclass_is_a_factory_too():
    @dataclasses.dataclass
    class Options:
        size: int = 3
        names: list[str] = dataclasses.field(default_factory=lambda: ["a"])

    assert schema_of(Options, owner="x/o").defaults() == {"size": 3, "names": ["a"]}


def loose(**options: int) -> None: ...
def spread(*values: int) -> None: ...
def bare(*, depth=3) -> None: ...
def unknown(*, net: Tensor) -> None: ...
def odd(*, net: Plain) -> None: ...
def wrong(*, depth: Annotated[int, Ge(2)] = 1) -> None: ...
def hollow(*, names: list[int | None] = [None]) -> None: ...  # noqa: B006


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (loose, "parameter '**options: 'int'' is refused; name each parameter as a keyword"),
        (spread, "parameter '*values: 'int'' is refused"),
        (Greedy, "is refused; name each parameter as a keyword"),
        (bare, "parameter 'depth' needs an annotation"),
        (unknown, "the annotation of parameter 'net' cannot be read: name 'Tensor' is not defined"),
        (odd, "parameter 'net' is annotated with a type that no recipe can hold"),
        (wrong, "the default of parameter 'depth' is refused: 'depth' cannot be 1"),
        (hollow, "the default of parameter 'names' is nothing that TOML can hold"),
    ],
)
def test_a_signature_that_no_recipe_can_fill_is_the_plug_ins_fault(factory: Any, message: str):
    with pytest.raises(PluginError) as refused:
        schema_of(factory, owner="x/f")
    assert message in str(refused.value)
    assert str(refused.value).startswith("x/f")


def test_help_comes_from_the_docstring():
    class Net:
        """A net.

        Args:
            depth: how deep,
                told at length.
            width (int): how wide.

        More about it: this is no argument.
        """

        def __init__(self, depth: int, width: int, norm: str) -> None:
            """Make it.

            Args:
                norm: which norm.
            """

    assert argument_help(Net) == {
        "depth": "how deep, told at length.",
        "width": "how wide.",
        "norm": "which norm.",
    }


def test_help_that_classes_share_stands_in_their_base():
    class Base:
        """What nets share.

        Args:
            depth: how deep.
            width: how wide.
            other: of no concern to all.
        """

    class Net(Base):
        """A net.

        Args:
            width: how wide at its waist.
        """

        def __init__(self, depth: int, width: int) -> None: ...

    class Plain(Net): ...

    assert argument_help(Net) == {"depth": "how deep.", "width": "how wide at its waist."}
    assert argument_help(Plain) == argument_help(Net)


@pytest.mark.parametrize("kind", KINDS)
def test_every_slot_key_has_a_default_and_help(kind: str):
    for parameter in slot_schema(kind).parameters:
        assert not parameter.required
        assert parameter.help


def entry(target: str) -> Entry:
    return Entry("generator", "bits", "net", target, "a net", 1, "i2i-bits", "1.0")


def test_a_components_schema_knows_what_its_kind_is_given(bits):
    factory, schema = component_schema(entry("i2i_bits.parts:Net"))
    assert factory.__name__ == "Net"
    assert schema.owner == "bits/net"
    assert schema.injected == {"in_channels"}
    assert schema["depth"].help == "how deep."


def test_a_component_must_be_callable_and_keep_clear_of_slot_keys(distribution):
    source = "PI = 3\ndef net(*, init: str = 'x'): ...\n"
    distribution("bits", "1", None, {"i2i_some_bits.py": source})
    with pytest.raises(PluginError, match="'i2i_some_bits:PI' is neither a class nor a function"):
        component_schema(entry("i2i_some_bits:PI"))
    with pytest.raises(PluginError, match="parameter 'init' is one of i2i's own keys; rename it"):
        component_schema(entry("i2i_some_bits:net"))


def test_a_table_is_bound_to_its_factory(distribution):
    source = "def net(*, in_channels: int, depth: int, width: int = 8): return in_channels, depth, width\n"
    distribution("bits", "1", None, {"i2i_bound_bits.py": source})
    bound = bind(entry("i2i_bound_bits:net"), {"use": "bits/net", "depth": 3, "init": "none"})
    assert not bound.errors
    assert not bound.unknown
    assert bound.toml == {"depth": 3, "width": 8}
    assert bound.settings.values["init"] == "none"
    assert bound.call(in_channels=1, out_channels=2) == (1, 3, 8)


def test_what_is_wrong_with_a_table_comes_with_what_is_bound(distribution):
    source = "def net(*, depth: int, width: int = 8): ...\n"
    distribution("bits", "1", None, {"i2i_wrong_bits.py": source})
    bound = bind(
        entry("i2i_wrong_bits:net"), {"widht": 3, "use": "bits/net", "in_channels": 3, "init": "odd"}
    )
    assert bound.unknown == ("widht", "in_channels")
    assert bound.errors == {"depth": "bits/net needs 'depth' (int)"}
    assert "init" in bound.settings.errors
