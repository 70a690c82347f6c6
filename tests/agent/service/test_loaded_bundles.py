"""Bundles of a configuration are loaded and checked before anything starts; every mistake is reported at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from asd_agent.bundle import Bundle
from asd_agent.bundle.arrays import load_arrays, save_arrays
from asd_agent.bundle.files import file_digest
from asd_agent.bundle.registry import BundleRegistry
from asd_agent.config.model import Config
from asd_agent.demo.assets import demo_bundle
from asd_agent.errors import EXIT_CONFIG, BundleError, ConfigError
from asd_agent.inference import isolated_check
from asd_agent.service import passed_checks
from asd_agent.service.loaded_bundles import load_bundles


def config_of(*bundles: tuple[Path, str], providers: tuple[str, ...] = ("CPUExecutionProvider",)) -> Config:
    return Config.model_validate(
        {
            "agent": {"name": "box"},
            "paths": {"state": "/proc/none"},  # where nothing can be kept from one test to the next
            "sources": {"s": {"kind": "file", "path": "x.wav"}},
            "monitors": {
                f"m{i}": {"source": "s", "bundle": str(path), "section": section}
                for i, (path, section) in enumerate(bundles)
            },
            "providers": providers,
        }
    )


def with_other_golden_scores(bundle: Path, to: Path) -> Path:
    copy = Path(shutil.copytree(bundle, to))
    arrays = load_arrays(copy / "golden.npz")
    arrays["scores"] = np.asarray(arrays["scores"]) + 0.5
    save_arrays(copy / "golden.npz", arrays)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"]["golden.npz"] = file_digest(copy / "golden.npz")
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


def test_each_bundle_has_its_own_provider_and_monitors_share_its_scorer(bundle_path: Path):
    demo = demo_bundle()
    made = load_bundles(config_of((bundle_path, "00"), (demo, "00"), (bundle_path, "01")))
    assert made.providers == {"hum": "numpy", "demo-fan": "CPUExecutionProvider"}
    assert made.scorers["m0"] is made.scorers["m2"]
    assert made.faults == {}


def test_a_provider_that_is_not_there_is_a_fault_and_no_obstacle():
    made = load_bundles(config_of((demo_bundle(), "00"), providers=("CUDAExecutionProvider", "CPUExecutionProvider")))
    assert made.providers == {"demo-fan": "CPUExecutionProvider"}
    (fault,) = made.faults.values()
    assert fault.startswith("CPUExecutionProvider is in use: CUDAExecutionProvider is not in this ONNX Runtime")


def test_two_bundles_of_one_name_are_told_apart(tmp_path: Path):
    copy = Path(shutil.copytree(demo_bundle(), tmp_path / "copy"))
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest))  # other bytes, another digest
    made = load_bundles(config_of((demo_bundle(), "00"), (copy, "00")))
    digest = made.scorers["m1"].bundle.digest[:12]
    assert list(made.providers) == ["demo-fan", f"demo-fan {digest}"]


def test_where_no_monitor_can_judge_every_mistake_is_named_and_the_agent_exits_78(bundle_path: Path, tmp_path: Path):
    off = with_other_golden_scores(bundle_path, tmp_path / "off")
    with pytest.raises(ConfigError) as error:
        load_bundles(config_of((off, "00"), (off, "01"), (bundle_path, "07"), (tmp_path / "no", "00")))
    lines = str(error.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["monitor m0", "monitor m1", "monitor m2", "monitor m3"]
    assert "golden window 0" in lines[0]
    assert "has no section '07'" in lines[2]
    assert "no such bundle" in lines[3]
    assert error.value.exit_code == EXIT_CONFIG


def test_a_monitor_without_a_usable_bundle_is_out_of_service_and_the_others_run(bundle_path: Path, tmp_path: Path):
    loaded = load_bundles(config_of((bundle_path, "00"), (tmp_path / "no", "00")))
    assert list(loaded.scorers) == ["m0"]
    assert list(loaded.unusable) == ["m1"]
    assert "no such bundle" in loaded.unusable["m1"]
    assert loaded.faults["monitor m1"] == loaded.unusable["m1"]


def test_a_reload_never_silences_a_monitor_that_judges(bundle_path: Path, tmp_path: Path):
    before = load_bundles(config_of((bundle_path, "00"), (bundle_path, "01")))
    with pytest.raises(ConfigError, match="monitor m1"):
        load_bundles(config_of((bundle_path, "00"), (tmp_path / "no", "00")), before)
    never = load_bundles(config_of((bundle_path, "00"), (tmp_path / "no", "00")))
    assert list(load_bundles(config_of((bundle_path, "01"), (tmp_path / "no", "00")), never).scorers) == ["m0"]


def test_sessions_are_used_again(bundle_path: Path):
    before = load_bundles(config_of((demo_bundle(), "00")))
    after = load_bundles(config_of((demo_bundle(), "01"), (bundle_path, "00")), before)
    assert [id(s) for s in after.pool.values()] == [id(s) for s in before.pool.values()]
    assert len(load_bundles(config_of((bundle_path, "00")), after).pool) == 0  # and not kept beyond their use


def test_a_bundle_runs_in_a_child_first_unless_it_was_installed_or_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    checked: list[Path] = []
    monkeypatch.setattr(isolated_check, "check_isolated", lambda bundle, _: checked.append(bundle.path))
    registry = BundleRegistry(tmp_path / "bundles", lambda _: None, lambda: 0.0)
    installed = registry.install(demo_bundle())
    load_bundles(config_of((tmp_path / "bundles" / installed.name, "00")))
    assert checked == []
    before = load_bundles(config_of((demo_bundle(), "00")))
    assert checked == [demo_bundle()]
    load_bundles(config_of((demo_bundle(), "01")), before)
    assert checked == [demo_bundle()]


def test_a_folder_with_a_stored_name_and_another_digest_runs_in_a_child_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    checked: list[Path] = []
    monkeypatch.setattr(isolated_check, "check_isolated", lambda bundle, _: checked.append(bundle.path))
    place = tmp_path / ".store" / "demo-fan-0123456789ab"
    shutil.copytree(demo_bundle(), place)
    load_bundles(config_of((place, "00")))
    assert checked == [place]


def test_a_passed_check_is_not_repeated_by_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    checked: list[Path] = []
    monkeypatch.setattr(isolated_check, "check_isolated", lambda bundle, _: checked.append(bundle.path))
    config = config_of((demo_bundle(), "00"))
    config = config.model_copy(update={"paths": config.paths.model_copy(update={"state": tmp_path})})
    for _ in range(2):
        load_bundles(config)
    assert len(checked) == 1
    monkeypatch.setattr(passed_checks, "__version__", "another")
    load_bundles(config)
    assert len(checked) == 2
    assert (tmp_path / passed_checks.FILE_NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"{}", b"[1, null]", b"\xff", b"[" * 2000])
def test_a_damaged_record_of_checks_costs_one_more_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content):
    checked: list[str] = []
    monkeypatch.setattr(isolated_check, "check_isolated", lambda bundle, _: checked.append(bundle.digest))
    (tmp_path / passed_checks.FILE_NAME).write_bytes(content)
    bundle = Bundle.open(demo_bundle())
    for _ in range(2):
        passed_checks.check_foreign_once(bundle, ("CPUExecutionProvider",), tmp_path)
    assert checked == [bundle.digest]


def test_a_failed_check_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    checked: list[str] = []

    def fail(bundle: Bundle, _: object) -> None:
        checked.append(bundle.digest)
        raise BundleError("its check ended with exit code 1")

    monkeypatch.setattr(isolated_check, "check_isolated", fail)
    for _ in range(2):
        with pytest.raises(BundleError):
            passed_checks.check_foreign_once(Bundle.open(demo_bundle()), ("CPUExecutionProvider",), tmp_path)
    assert len(checked) == 2
