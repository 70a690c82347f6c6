"""Names of classes: each stands for one thing in both packages."""

import ast
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parents[2]


def test_no_class_name_stands_for_two_things():
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted([*HERE.glob("agent/**/*.py"), *HERE.glob("trainer/**/*.py")]):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path.relative_to(HERE)))
    assert places["Outbox"] == ["agent/asd_agent/outbox/store.py"]
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
