"""asd-agent bundle: show a bundle, check it on this box, install it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from asd_agent.bundle import Bundle
from asd_agent.bundle.references import EXPORT_AGAIN, overwritten_references, overwritten_text
from asd_agent.commands import bundle_install
from asd_agent.commands.console import print_json, warn
from asd_agent.inference.provider_check import check_providers

app = typer.Typer(help="Show bundles, check them on this box, install them.", no_args_is_help=True)

_Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
_Path = Annotated[Path, typer.Argument(help="Folder of the bundle.", metavar="BUNDLE")]


@app.command()
def show(path: _Path, json: _Json = False) -> None:
    """Show the sections, domains, thresholds and origin of a bundle.

    Example: asd-agent bundle show exported_models/fan
    """
    bundle = Bundle.open(path)
    manifest = bundle.manifest
    if json:
        print_json({"digest": bundle.digest, "manifest": manifest.model_dump(mode="json")})
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 140)
    made = manifest.provenance
    console.print(
        f"[b]{manifest.name}[/]: machine {manifest.machine}, {len(manifest.members)} members, "
        f"recipe {made.recipe} seed {made.seed}, made {made.created:%Y-%m-%d %H:%M} UTC\ndigest {bundle.digest}"
    )
    if made.chosen_by_labels:
        console.print(f"members chosen by labelled anomalies of sections {', '.join(made.chosen_by_labels)}")
    table = Table("section", "domain", "experts", "clips", "raise at", "clear at", "false alarms a day", "")
    for c in manifest.conditions:
        level = c.threshold
        rate = f"{level.false_alarms_per_day:.2g} (wanted {level.wanted_per_day:.2g})"
        experts = ", ".join(f"{e.name} ×{len(e.members)}" for e in c.experts)
        note = "provisional" if c.provisional else ""
        table.add_row(
            c.section,
            c.domain,
            experts,
            str(c.clips),
            f"{level.raise_level:.2f}",
            f"{level.clear_level:.2f}",
            rate,
            note,
        )
    console.print(table)


@app.command()
def verify(
    path: _Path,
    provider: Annotated[list[str] | None, typer.Option(help="Execution provider, in order of preference.")] = None,
    json: _Json = False,
) -> None:
    """Check every file's hash and score the golden windows again with the provider in use.

    Example: asd-agent bundle verify exported_models/fan
    """
    bundle = Bundle.open(path)
    check = check_providers(bundle, provider or ["CPUExecutionProvider"])
    windows = len(bundle.golden()["scores"])
    damaged = overwritten_references(bundle)
    warnings = [f"{overwritten_text(damaged)}; windows are scored as before. {EXPORT_AGAIN}"] if damaged else []
    if json:
        print_json(
            {
                "digest": bundle.digest,
                "provider": check.provider,
                "windows": windows,
                "largest_difference": check.worst,
                "warnings": warnings,
            }
        )
        return
    sys.stdout.write(
        f"{path}: {len(bundle.manifest.files)} files as exported; {windows} golden windows on {check.provider} "
        f"differ by at most {check.worst:.2g} (allowed {bundle.manifest.tolerance:g})\n"
    )
    for text in warnings:
        warn(f"{path}: {text}")


bundle_install.register(app)
