"""`i2i import`: weights from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from i2i.cli.options import JsonOption, PluginOption, open_catalog, tell_broken
from i2i.cli.render import print_json, print_note
from i2i.cli.usage import examples

EXAMPLES = examples("i2i import latest_net_G.pth --out mine.safetensors")


def import_weights(
    source: Annotated[
        Path, typer.Argument(metavar="PTH", help="latest_net_G.pth or latest_net_D.pth of a training.")
    ],
    out: Annotated[Path, typer.Option(help="The weights file to write, such as model.safetensors.")],
    layout: Annotated[
        str | None,
        typer.Option(metavar="REF", help="Go by this layout, where several know the file."),
    ] = None,
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """Turn weights of another implementation into a weights file.

    `i2i components list layout` says which are known: the networks of the pix2pix and CycleGAN authors, and
    those of plug-ins. A generator then serves `i2i translate`; all serve as `init_from` in a recipe.
    """
    from i2i.models.importing import import_weights as convert

    catalog = open_catalog(plugin)
    tell_broken(catalog)
    found = convert(source, out, catalog=catalog, layout=layout)
    for note in found.notes:
        print_note(note)
    if json:
        facts = {"out": out, "ref": found.entry.ref, "layout": found.layout}
        print_json({**facts, "parameters": found.parameters, "keys": dict(found.table)})
        return
    made_of = ", ".join(f"{key} = {value}" for key, value in found.table.items())
    typer.echo(f"{source} is {found.entry.ref} with {made_of}: {found.parameters:,} parameters")
    typer.echo(f"written to {out}")
