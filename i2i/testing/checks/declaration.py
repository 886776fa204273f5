"""What a component of any kind declares: its entry, its parameters, and that it can be built."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import tomli_w
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from i2i.errors import PluginError
from i2i.kind_table import FIELD, is_need
from i2i.kinds import NEEDS
from i2i.plugins.schema import argument_help, schema_of, slot_schema
from i2i.testing.outcomes import check, fail, require
from i2i.testing.subjects import BUILDABLE, MODULES, NETWORKS, Subject
from i2i.testing.uses import USES

LONGEST_SUMMARY = 100


@check("summary")
def summary(subject: Subject) -> None:
    """It is registered with a summary of one line and a revision from 1 up."""
    text, rev = subject.entry.summary, subject.entry.rev
    require(
        "\n" not in text, "its summary has several lines: tell it in one, the rest belongs in its docstring"
    )
    require(
        len(text) <= LONGEST_SUMMARY,
        f"its summary is {len(text)} characters long: lists have room for {LONGEST_SUMMARY}",
    )
    require(
        isinstance(rev, int) and not isinstance(rev, bool) and rev >= 1,
        f"its rev is {rev!r}: it is a whole number from 1 up, raised when old weights no longer mean the "
        "same",
    )


@check("loads", needs=["summary"])
def loads(subject: Subject) -> None:
    """Its target can be imported and is a class or a function."""
    target = subject.entry.target
    require(
        callable(subject.factory),
        f"'{target}' is a {type(subject.factory).__name__}: register a class, or a function that returns one",
    )


@check("named-parameters", needs=["loads"])
def named_parameters(subject: Subject) -> None:
    """Every parameter has a name: no *args, no **kwargs, nothing positional only."""
    for raw in _signature(subject).values():
        require(
            raw.kind not in (raw.VAR_KEYWORD, raw.VAR_POSITIONAL, raw.POSITIONAL_ONLY),
            f"its parameter '{raw}' has no name that a recipe could use: write out each as a keyword",
        )


@check("annotated-parameters", needs=["named-parameters"])
def annotated_parameters(subject: Subject) -> None:
    """Every parameter is annotated with a type that a recipe can hold."""
    own = [raw for name, raw in _signature(subject).items() if name not in subject.contract.injected]
    for raw in own:
        require(
            raw.annotation is not raw.empty,
            f"its parameter '{raw.name}' has no annotation: write one, like `{raw.name}: int`",
        )
        try:
            schema_of(_without_default(subject, raw), owner="it")
        except PluginError as error:
            fail(f"{_message(error)}: annotate it with numbers, strings, bools, Literals or tuples of them")


@check("toml-defaults", needs=["annotated-parameters"])
def toml_defaults(subject: Subject) -> None:
    """Every default is one that TOML can hold and that the parameter's own annotation allows."""
    try:
        schema = schema_of(subject.factory, owner="it", injected=subject.contract.injected)
    except PluginError as error:
        fail(f"{_message(error)}: choose a default of the annotated type, or None, which means left out")
    tomli_w.dumps(schema.defaults())


@check("no-slot-keys", needs=["named-parameters"])
def no_slot_keys(subject: Subject) -> None:
    """No parameter has the name of a key that belongs to the engine."""
    taken = {"use", *slot_schema(subject.kind).names}
    for name in _signature(subject):
        require(name not in taken, f"its parameter '{name}' is a key of i2i's own in that table: rename it")


@check("documented", needs=["toml-defaults", "no-slot-keys"])
def documented(subject: Subject) -> None:
    """It has a docstring, which describes every parameter, and no other, under Args:."""
    require(
        _own_docstring(subject.factory),
        "it has no docstring: say in one what it is, what goes in and what comes out",
    )
    helps = argument_help(subject.factory)
    for name in subject.schema.names:
        require(
            helps.get(name),
            f"its parameter '{name}' is not described: add a line '{name}: ...' under Args: in its docstring",
        )
    for name in helps:
        require(
            name in subject.schema.names or name in subject.contract.injected,
            f"its docstring describes '{name}', which is no parameter: take the line out, or rename it",
        )


@check("builds", *BUILDABLE, needs=["toml-defaults", "no-slot-keys"])
def builds(subject: Subject) -> None:
    """It can be built from its parameters and from what the engine gives."""
    require(subject.build() is not None, "nothing came back: return the component from the function")


@check("module", *MODULES, needs=["builds"])
def module(subject: Subject) -> None:
    """It is an nn.Module whose weights are tensors in float32; one that takes images has some to train."""
    built = subject.build()
    require(
        isinstance(built, nn.Module),
        f"it is a {type(built).__name__}: a network is an nn.Module, which knows its own weights",
    )
    require(
        subject.kind not in NETWORKS or any(parameter.requires_grad for parameter in built.parameters()),
        "it has no parameter that can be trained, and an optimizer is given none: register weights as "
        "nn.Parameter or in sub-modules, in nn.ModuleList where they are many",
    )
    for name, tensor in built.state_dict(keep_vars=True).items():
        require(
            isinstance(tensor, Tensor),
            f"its state_dict() has '{name}', a {type(tensor).__name__}: weights files hold tensors and "
            "nothing else, so register it as a buffer, or make it a parameter of the component",
        )
        require(
            not is_lazy(tensor),
            f"the shape of '{name}' is not known until it is first called: give sizes in __init__ in place "
            "of torch's Lazy modules",
        )
        require(
            not tensor.is_floating_point() or tensor.dtype == torch.float32,
            f"'{name}' is {tensor.dtype}: build it in float32, lower precision is the engine's work",
        )


@check("attributes", *BUILDABLE, needs=["builds"])
def attributes(subject: Subject) -> None:
    """The attributes that the engine looks for are of the types that it expects."""
    built = subject.shared
    for name, least in (("size_multiple", 1), ("smallest", 1), ("receptive_field", 0), ("fewest", 1)):
        value = getattr(built, name, least)
        require(
            isinstance(value, int) and not isinstance(value, bool) and value >= least,
            f"its `{name}` is {value!r}: make it a whole number from {least} up, or leave it out",
        )
    needs = getattr(subject.factory, "requires", {})
    sound = isinstance(needs, Mapping) and all(map(is_need, needs))
    require(
        sound and all(isinstance(sentence, str) and sentence for sentence in needs.values()),
        f"its `requires` is {needs!r}: map what it cannot do without ({', '.join(NEEDS)}, {FIELD}NAME) to a "
        "sentence",
    )
    require(
        isinstance(getattr(built, "credit", ""), str),
        "its `credit` is no text: make it one sentence of attribution",
    )


@check("works", *USES, needs=["builds", "module", "attributes", "slots", "assembles", "events"])
def works(subject: Subject) -> None:
    """Called once with small inputs, as the engine would call it, it raises nothing."""
    use = USES[subject.kind]
    component = use.make(subject)
    use.call(component, *use.inputs(subject, component))


def _signature(subject: Subject) -> Mapping[str, inspect.Parameter]:
    factory = subject.factory
    try:
        found = inspect.signature(factory).parameters
    except (TypeError, ValueError) as error:
        fail(f"its parameters cannot be read ({error}): write it as a class or a function in Python")
    inherited = inspect.isclass(factory) and "__init__" not in factory.__dict__
    nameless = all(raw.kind in (raw.VAR_KEYWORD, raw.VAR_POSITIONAL) for raw in found.values())
    # A plain nn.Module inherits __init__(*args, **kwargs), which takes nothing in truth.
    return {} if inherited and nameless else found


def _without_default(subject: Subject, parameter: inspect.Parameter) -> Callable[[], None]:
    """Return a function with this one parameter, required, in the module of the component."""

    def lender() -> None:
        """Nobody calls it: it lends its signature."""

    original = subject.factory.__init__ if inspect.isclass(subject.factory) else subject.factory
    lender.__signature__ = inspect.Signature([parameter.replace(default=parameter.empty)])  # type: ignore[attr-defined]
    lender.__wrapped__ = inspect.unwrap(original)  # type: ignore[attr-defined]
    return lender


def _message(error: PluginError) -> str:
    return error.problems[0].message.removeprefix("it: ")


def _own_docstring(factory: Any) -> str:
    """Return the docstring that was written for the factory itself, not for a class it inherits from."""
    if not inspect.isclass(factory):
        return factory.__doc__ or ""
    own = [factory.__dict__.get("__doc__"), getattr(factory.__dict__.get("__init__"), "__doc__", None)]
    # A dataclass without a docstring makes one of its signature.
    written = [text for text in own if text and not text.startswith(f"{factory.__name__}(")]
    return written[0] if written else ""


CHECKS = (
    summary,
    loads,
    named_parameters,
    annotated_parameters,
    toml_defaults,
    no_slot_keys,
    documented,
    builds,
    module,
    attributes,
    works,
)
