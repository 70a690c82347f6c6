"""asd-agent bundle: show a bundle, check it on this box, install it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from asd_agent.alarm.faults_found import found_text
from asd_agent.alarm.rate import rate_text
from asd_agent.bundle import Bundle
from asd_agent.bundle.manifest import Condition
from asd_agent.bundle.references import EXPORT_AGAIN, overwritten_references, overwritten_text
from asd_agent.commands import bundle_install
from asd_agent.commands.console import one_line, print_json, print_table, warn
from asd_agent.inference.isolated_check import check_isolated

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
    made = manifest.provenance
    sys.stdout.write(
        f"{manifest.name}: machine {manifest.machine}, {len(manifest.members)} members, recipe {one_line(made.recipe)} "
        f"seed {made.seed}, made {made.created:%Y-%m-%d %H:%M} UTC\ndigest {bundle.digest}\n"
    )
    if made.chosen_by_labels:
        sections = ", ".join(made.chosen_by_labels)
        sys.stdout.write(f"members chosen by labelled anomalies of sections {sections}\n")
    columns = ["section", "domain", "clips", "raise_at", "clear_at", "experts"]
    print_table(columns, [_condition_row(c) for c in manifest.conditions], text=("experts",))
    for condition in manifest.conditions:
        sys.stdout.write(f"{condition.section} {condition.domain}: {rate_text(condition.threshold)}\n")
        if found := found_text(manifest.metrics, condition.section, condition.domain):
            sys.stdout.write(f"{condition.section} {condition.domain}: {found}\n")
        if condition.provisional:
            sys.stdout.write(f"{condition.section} {condition.domain} is provisional: {condition.provisional_text}\n")


def _condition_row(condition: Condition) -> dict[str, Any]:
    level = condition.threshold
    return {
        "section": condition.section,
        "domain": condition.domain,
        "experts": ", ".join(f"{e.name} ×{len(e.members)}" for e in condition.experts),
        "clips": condition.clips,
        "raise_at": level.raise_level,
        "clear_at": level.clear_level,
    }


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
    check = check_isolated(bundle, provider or ["CPUExecutionProvider"])
    damaged = overwritten_references(bundle)
    warnings = [f"{overwritten_text(damaged)}; windows are scored as before. {EXPORT_AGAIN}"] if damaged else []
    if json:
        print_json(
            {
                "digest": bundle.digest,
                "provider": check.provider,
                "windows": check.windows,
                "largest_difference": check.worst,
                "warnings": warnings,
            }
        )
        return
    sys.stdout.write(
        f"{path}: {len(bundle.manifest.files)} files as exported; {check.windows} golden windows on {check.provider} "
        f"differ by at most {check.worst:.2g} (allowed {bundle.manifest.tolerance:g})\n"
    )
    for text in warnings:
        warn(f"{path}: {text}")


bundle_install.register(app)
