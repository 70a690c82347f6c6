"""asd-trainer recipes: the packaged recipes, and one of them with everything that it extends."""

from __future__ import annotations

import sys
from itertools import groupby
from typing import Annotated, Any

import typer

from asd_agent.commands.console import print_json

_Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
GROUPS = ("reduced", "paper", "ablations")
"""Folders of packaged recipes, in the order in which they are listed."""
_DAY, _HOUR, _MINUTE = 86_400.0, 3_600.0, 60.0
app = typer.Typer(help="List the packaged recipes, or show one.", invoke_without_command=True)


@app.callback()
def recipes(context: typer.Context, json: _Json = False) -> None:
    """List the packaged recipes, one a line, or show one.

    The time is that of one member on one processor core, as it was measured when the recipe was written; without a
    time, nothing is trained. `asd-trainer train --dry-run --hours` measures it here.

    Example: asd-trainer recipes
    """
    if context.invoked_subcommand is not None:
        return
    rows = _rows()
    if json:
        print_json({"schema": 1, "recipes": rows})
        return
    width = max(len(row["name"]) for row in rows)
    needs = max(len(row["needs"]) for row in rows)
    for group, members in groupby(rows, key=lambda row: row["group"]):
        sys.stdout.write(f"{group}\n")
        for row in members:
            time = _time(row["seconds"])
            sys.stdout.write(f"  {row['name']:<{width}} {time:>5} {row['needs']:<{needs}} {row['description']}\n")


@app.command("show")
def show(
    recipe: Annotated[str, typer.Argument(help="Name of a packaged recipe, or a file.")], json: _Json = False
) -> None:
    """Print a recipe with everything that it extends, as one file.

    Example: asd-trainer recipes show ae-ens
    """
    import yaml

    from asd_trainer.recipes.load import load_recipe, resolved

    if json:
        print_json({"schema": 1, "recipe": load_recipe(recipe).model_dump(mode="json")})
        return
    sys.stdout.write(yaml.safe_dump(resolved(recipe), sort_keys=False, width=100, allow_unicode=True))


def _rows() -> list[dict[str, Any]]:
    """Return the listed fields of each recipe, group by group."""
    from asd_trainer.recipes.load import load_recipe, packaged

    rows = []
    for name, path in sorted(packaged().items(), key=lambda item: (GROUPS.index(item[1].parent.name), item[0])):
        one = load_recipe(name)
        rows.append(
            {
                "name": name,
                "group": path.parent.name,
                "description": one.description,
                "needs": one.needs,
                "seconds": one.seconds,
                "members": sum(expert.member_count for expert in one.experts),
                "kinds": list(dict.fromkeys(expert.kind for expert in one.experts)),
            }
        )
    return rows


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"
