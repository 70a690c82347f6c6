"""A manifest that would harm a monitor is refused, with the bundle's path and what is wrong; earlier versions load."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asd_agent.bundle import Bundle
from asd_agent.bundle.manifest import ARITHMETIC_VERSION, Combination, Manifest
from asd_agent.bundle.manifest_reader import Versions, read_manifest, under_arithmetic
from asd_agent.errors import BundleError
from asd_agent.inference.provider_check import check_golden
from asd_agent.inference.scorer import BundleScorer

Edit = Callable[[dict[str, Any]], object]
INFINITE = float("inf")
NAN = float("nan")


@pytest.fixture
def copy(bundle_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_path, tmp_path / "hum"))


def edited(folder: Path, edit: Edit) -> Path:
    """Change a manifest, keeping what JSON cannot hold in Python's own notation."""
    data = json.loads((folder / "manifest.json").read_text())
    edit(data)
    (folder / "manifest.json").write_text(json.dumps(data))
    return folder


def put(*keys: str | int, value: Any) -> Edit:
    def edit(data: dict[str, Any]) -> None:
        for key in keys[:-1]:
            data = data[key]
        data[keys[-1]] = value

    return edit


def in_threshold(**changes: Any) -> Edit:
    return lambda data: data["conditions"][0]["threshold"].update(changes)


def in_features(**changes: Any) -> Edit:
    return lambda data: data["members"][0]["features"].update(changes)


def repeat_condition(data: dict[str, Any]) -> None:
    data["conditions"].append(data["conditions"][0])


def repeat_expert(data: dict[str, Any]) -> None:
    data["conditions"][0]["experts"] *= 2


def repeat_use(data: dict[str, Any]) -> None:
    data["conditions"][0]["experts"][0]["members"] *= 2


def features_longer_than_the_window(data: dict[str, Any]) -> None:
    data["window_seconds"] = 1.0
    in_features(n_fft=65_536, center=False)(data)


HARMFUL = {
    "raise level infinite": in_threshold(raise_level=INFINITE, clear_level=1.0),
    "raise level NaN": in_threshold(raise_level=NAN),
    "raise level beyond numbers": lambda d: d["conditions"][0]["threshold"].update(raise_level=10**400),
    "clear level above raise level": in_threshold(raise_level=2.0, clear_level=2.5),
    "tolerance infinite": put("tolerance", value=INFINITE),
    "tolerance that checks nothing": put("tolerance", value=1e9),
    "tolerance negative": put("tolerance", value=-1.0),
    "duplicate condition": repeat_condition,
    "duplicate expert": repeat_expert,
    "duplicate member of an expert": repeat_use,
    "standard deviation NaN": put("conditions", 0, "standardisation", "std", value=NAN),
    "standard deviation of nothing": put("conditions", 0, "standardisation", "std", value=5e-324),
    "mean infinite": put("conditions", 0, "standardisation", "mean", value=-INFINITE),
    "clip infinite": put("conditions", 0, "combination", "clip", value=INFINITE),
    "alpha NaN": put("conditions", 0, "experts", 0, "members", 0, "pooling", "alpha", value=NAN),
    "level range NaN": put("conditions", 0, "level_dbfs", value=[NAN, 0.0]),
    "level range reversed": put("conditions", 0, "level_dbfs", value=[0.0, -90.0]),
    "window of no length": put("window_seconds", value=1e-9),
    "window of a day": put("window_seconds", value=86_400),
    "n_fft of gigabytes": in_features(n_fft=2_000_000_000),
    "n_mels of gigabytes": in_features(n_mels=2_000_000_000),
    "features of gigabytes": in_features(n_fft=32_768, hop_length=1, n_mels=512),
    "features longer than the window": features_longer_than_the_window,
    "another sample rate": in_features(sample_rate=44_100),
    "f_max NaN": in_features(f_max=NAN),
    "name with a line break": put("name", value="fan\nINFO all is well"),
    "name with an escape": put("machine", value="\x1b[2J"),
    "name with half a character": put("machine", value="fan\ud800"),
    "name of 5 MB": put("machine", value="x" * 5_000_000),
    "name of 5 kB": put("machine", value="x" * 5_000),
    "name with markup": put("name", value="[red]fan[/red]"),
    "name with a path": put("name", value="../../etc"),
    "empty name": put("machine", value=""),
    "member's id with markup": put("members", 0, "id", value="[bold]"),
    "key with an escape": put("metrics", value={"\x1b[31m": 1}),
    "key with half a character": put("provenance", "versions", value={"\udfff": "1"}),
    "recipe with a control character": put("provenance", "recipe_settings", value={"a": "\x00"}),
    "NaN in a metric": put("metrics", value={"auc": [NAN]}),
    "nesting without end": put("metrics", value=json.loads('{"a":' * 200 + "1" + "}" * 200)),
    "digest that is none": lambda d: d["files"].update({"scorers.npz": "abc"}),
    "section of letters of digits": put("conditions", 0, "section", value="٠٠"),
}


@pytest.mark.parametrize("name", HARMFUL)
def test_a_harmful_manifest_is_refused_with_its_path_and_a_remedy(copy: Path, name: str):
    with pytest.raises(BundleError) as error:
        Bundle.open(edited(copy, HARMFUL[name]))
    text = str(error.value)
    assert str(copy) in text
    assert error.value.remedy
    assert len(text) < 1_000
    assert text.isprintable()


def test_a_key_that_occurs_twice_is_named(copy: Path):
    text = (copy / "manifest.json").read_text()
    (copy / "manifest.json").write_text(text.replace('"machine":', '"machine": "pump", "machine":', 1))
    with pytest.raises(BundleError, match=r"manifest\.json: the key 'machine' occurs twice"):
        Bundle.open(copy)


@pytest.mark.parametrize("raw", [b"\xff\xfe", b'{"a": "\xff"}', b"[" * 100_000, b'{"a":' + b"9" * 6_000 + b"}"])
def test_bytes_that_are_no_document_are_refused(copy: Path, raw: bytes):
    (copy / "manifest.json").write_bytes(raw)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        Bundle.open(copy)


def test_a_manifest_of_many_megabytes_is_refused_unread(copy: Path):
    (copy / "manifest.json").write_bytes(b"[" + b"[]," * 10_000_000 + b"[]]")
    with pytest.raises(BundleError, match="larger than 4194304"):
        Bundle.open(copy)


def test_golden_windows_that_leave_a_condition_out_are_refused(copy: Path):
    from asd_agent.bundle.arrays import load_arrays, save_arrays
    from asd_agent.bundle.files import file_digest

    golden = load_arrays(copy / "golden.npz")
    save_arrays(copy / "golden.npz", {k: v[:2] for k, v in golden.items()})  # both of 00, source
    edited(copy, lambda d: d["files"].update({"golden.npz": file_digest(copy / "golden.npz")}))
    with pytest.raises(BundleError, match=r"no golden window of section 00, target"):
        Bundle.open(copy)


@pytest.mark.parametrize("name", ["Lüfter 3.5 kW", "fan_2-b", "風扇"])
def test_names_of_any_language_are_fine(copy: Path, name: str):
    assert Bundle.open(edited(copy, put("machine", value=name))).manifest.machine == name


def document(bundle_path: Path, **changes: Any) -> bytes:
    return json.dumps(json.loads((bundle_path / "manifest.json").read_text()) | changes).encode()


def test_the_next_version_reads_this_one_and_names_what_it_cannot_read(bundle_path: Path):
    def upgrade(data: dict[str, Any]) -> dict[str, Any]:
        return data | {"machine": data["machine"].upper()}

    following = Versions(schema=2, arithmetic=frozenset({1, 2, 3}), upgrades={1: upgrade})
    where = Path("fan/manifest.json")
    assert read_manifest(where, document(bundle_path), following).machine == "HUM"
    assert read_manifest(where, document(bundle_path, schema_version=2), following).machine == "hum"
    for changes in ({"schema_version": 3}, {"schema_version": 0}, {"arithmetic_version": 4}, {"schema_version": "1"}):
        with pytest.raises(BundleError, match=r"this agent reads schema 1 to 2 and arithmetic 1, 2, 3"):
            read_manifest(where, document(bundle_path, **changes), following)


def test_the_bundle_of_the_demo_is_of_the_first_version_and_loads():
    from asd_agent.demo.assets import demo_bundle

    document = json.loads((demo_bundle() / "manifest.json").read_text())
    assert (document["schema_version"], document["arithmetic_version"]) == (1, 1)
    assert isinstance(Bundle.open(demo_bundle()).manifest, Manifest)


def test_a_bundle_of_an_earlier_arithmetic_is_scored_as_it_was_exported(bundle_path: Path):
    """Clipped or compressed z-scores, alpha on raw scores: its manifest does not state what had no other form."""
    where, now = Path("fan/manifest.json"), json.loads((bundle_path / "manifest.json").read_text())
    assert now["arithmetic_version"] == ARITHMETIC_VERSION == 3
    of_now = read_manifest(where, document(bundle_path)).conditions[0]
    assert (of_now.combination.scale, of_now.experts[0].members[0].pooling.unit) == ("linear", "spreads")
    for condition in now["conditions"]:
        condition["experts"][0]["members"][0].pop("pooling")
    first = read_manifest(where, json.dumps(now | {"arithmetic_version": 1}).encode()).conditions
    for condition in first:
        assert condition.combination == Combination(scale="clip")
        assert {e.combination.scale for e in condition.experts} == {"clip"}
        assert {u.pooling.unit for e in condition.experts for u in e.members} == {"scores"}
    second = read_manifest(where, json.dumps(now | {"arithmetic_version": 2}).encode()).conditions
    for condition in second:
        assert condition.combination == Combination(scale="log")
        assert {e.combination.scale for e in condition.experts} == {"log"}
        assert {u.pooling.unit for e in condition.experts for u in e.members} <= {"spreads"}
    # What was read under an earlier arithmetic says so when it is written, and is read alike.
    for version, conditions in ((1, first), (2, second)):
        kept = [json.loads(c.model_dump_json()) for c in conditions]
        assert [under_arithmetic(c, version) for c in kept] == kept


def test_a_bundle_of_the_second_arithmetic_gives_its_golden_scores(tmp_path: Path):
    """Exported by `learn` before z-scores were combined as they are."""
    path = Path(__file__).parent / "earlier" / "arithmetic-2"
    bundle = Bundle.open(path)
    assert bundle.manifest.arithmetic_version == 2
    assert check_golden(BundleScorer(bundle)) < 1e-3
    # Read as the present arithmetic, the same arrays give other scores.
    shutil.copytree(path, tmp_path / "now")
    text = (path / "manifest.json").read_text()
    (tmp_path / "now" / "manifest.json").write_text(text.replace('"arithmetic_version": 2', '"arithmetic_version": 3'))
    with pytest.raises(BundleError, match="differ"):
        check_golden(BundleScorer(Bundle.open(tmp_path / "now")))
