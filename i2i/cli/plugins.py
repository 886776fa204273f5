"""`i2i plugins`: what is installed, and what is wrong with it."""

from __future__ import annotations

from i2i.cli.options import JsonOption, PluginOption, open_catalog
from i2i.cli.render import print_json, print_note, print_table
from i2i.cli.usage import examples
from i2i.plugins.discovery import GROUP
from i2i.plugins.entry_points import entry_points_in

EXAMPLES = examples("i2i plugins")


def show_plugins(plugin: PluginOption = None, json: JsonOption = False) -> None:
    """Show the installed plug-ins."""
    records = open_catalog(plugin).load_all()
    for sentence in entry_points_in(GROUP).unreadable:
        print_note(sentence)
    if json:
        keys = ("namespace", "distribution", "version", "module", "api", "disabled")
        print_json(
            {
                "plugins": [
                    {key: getattr(record, key) for key in keys}
                    | {"components": len(record.entries), "recipes": len(record.recipes)}
                    | {"layouts": len(record.layouts)}
                    | {"error": record.error or None}
                    for record in records
                ]
            }
        )
        return
    rows = [
        (
            record.namespace,
            record.distribution,
            record.version,
            "" if record.api is None else str(record.api),
            str(len(record.entries)),
            str(len(record.layouts)),
            record.error or ("switched off by I2I_DISABLE" if record.disabled else "ready"),
        )
        for record in records
    ]
    print_table(("plug-in", "distribution", "version", "api", "components", "layouts", "state"), rows)
