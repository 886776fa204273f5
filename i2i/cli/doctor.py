"""`i2i doctor`: is this installation sound?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from i2i.cli.options import JsonOption, open_catalog
from i2i.cli.render import print_json, print_table
from i2i.cli.usage import examples
from i2i.errors import EXIT_PLUGIN

if TYPE_CHECKING:
    from i2i.plugins.doctor import Health, PluginFacts

EXAMPLES = examples("i2i doctor", "i2i doctor --json")


def doctor(json: JsonOption = False) -> None:
    """Look for what is wrong with this installation: versions, plug-ins, their files. Changes nothing."""
    from i2i.plugins.doctor import examine

    health = examine(open_catalog())
    if json:
        print_json(health.as_json())
    else:
        _show(health)
    if health.problems:
        raise typer.Exit(EXIT_PLUGIN)


def _show(health: Health) -> None:
    print_table(("about", ""), _about(health), labelled=False)
    print()
    packages = [(need.name, need.installed or "-", need.wanted or "any") for need in health.packages]
    print_table(("package", "installed", "wanted"), packages)
    print()
    print_table(
        ("plug-in", "distribution", "holds", "state", "files", "location"),
        [_row(facts) for facts in health.plugins],
        labelled=False,
    )
    print()
    remarks = [("note", text) for text in health.notes] + [("problem", text) for text in health.problems]
    if remarks:
        print_table(("", "what to look at"), remarks, labelled=False)
        print()
    count = len(health.problems)
    print("no problem found" if not count else f"{count} problem{'s' if count > 1 else ''} found")


def _about(health: Health) -> list[tuple[str, str]]:
    machine = health.machine
    cores, usable = machine["cores"], machine["usable_cores"]
    return [
        *health.versions.items(),
        ("system", machine["system"]),
        ("interpreter", machine["python"]),
        ("devices", ", ".join(machine["devices"]) or "none"),
        ("cores", f"{cores}" if usable == cores else f"{cores}, {usable} of them for this process"),
        ("memory", f"{_size(machine['memory'])}, {_size(machine['free_memory'])} free"),
        ("disk", f"{_size(machine['free_disk'])} free at {machine['folder']}"),
        ("cache", f"{machine['cache']}, {_size(machine['cache_free_disk'])} free"),
    ]


def _size(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 2**30:.1f} GiB"


def _row(facts: PluginFacts) -> tuple[str, ...]:
    record = facts.record
    files = {
        "unchanged": f"{record.files} as installed",
        "changed": f"{len(record.changed)} of {record.files} changed",
        "none": "editable" if facts.editable else "no record",
    }
    count = f"{facts.components} component{'' if facts.components == 1 else 's'}"
    return (
        facts.namespace,
        f"{facts.distribution} {facts.version}",
        "-" if facts.api is None else f"{count}, API {facts.api}",
        facts.state,
        files[record.state],
        facts.location,
    )
