"""`i2i import`: weights from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from i2i.cli.options import JsonOption, open_catalog
from i2i.cli.render import print_json
from i2i.cli.usage import examples

EXAMPLES = examples("i2i import latest_net_G.pth --out mine.safetensors")


def import_weights(
    source: Annotated[
        Path, typer.Argument(metavar="PTH", help="latest_net_G.pth or latest_net_D.pth of a training.")
    ],
    out: Annotated[Path, typer.Option(help="The weights file to write, such as model.safetensors.")],
    json: JsonOption = False,
) -> None:
    """Turn weights of the pix2pix authors' PyTorch implementation into a weights file.

    A generator can then be used with `i2i translate`; both kinds serve as `init_from` in a recipe.
    """
    from i2i.models.importing import import_weights as convert

    found = convert(source, out, catalog=open_catalog())
    if json:
        print_json(
            {"out": out, "ref": found.entry.ref, "parameters": found.parameters, "keys": dict(found.table)}
        )
        return
    made_of = ", ".join(f"{key} = {value}" for key, value in found.table.items())
    typer.echo(f"{source} is {found.entry.ref} with {made_of}: {found.parameters:,} parameters")
    typer.echo(f"written to {out}")
