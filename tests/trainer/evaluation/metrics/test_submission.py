"""Score files of any system: truths of every year, both official measures, and files that are wrong."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from asd_agent.errors import DataError, UsageError
from asd_trainer.commands.metrics import metrics
from asd_trainer.evaluation.metrics.bootstrap import cell_intervals
from asd_trainer.evaluation.metrics.ground_truth import GroundTruth, read_truth
from asd_trainer.evaluation.metrics.result import measure, measure_shared, paired_cells, to_csv
from asd_trainer.evaluation.metrics.submission import read_all, read_submission

# Source: normal 1 and 3, anomalous 2. Target: normal 4 and 5, anomalous 4.5.
BOTH = {
    "section_00_source_test_normal_0000.wav": 1.0,
    "section_00_source_test_normal_0001.wav": 3.0,
    "section_00_source_test_anomaly_0000.wav": 2.0,
    "section_00_target_test_normal_0000.wav": 4.0,
    "section_00_target_test_normal_0001.wav": 5.0,
    "section_00_target_test_anomaly_0000.wav": 4.5,
}
CALLED = [0, 1, 1, 1, 0, 0]


def write(path: Path, rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name},{value}\n" for name, value in rows))
    return path


def of_2022(folder: Path) -> Path:
    write(folder / "anomaly_score_fan_section_00_test.csv", BOTH.items())
    write(folder / "decision_result_fan_section_00_test.csv", zip(BOTH, CALLED, strict=True))
    return folder


def of_2021(folder: Path, machine: str = "fan", shift: float = 0.0) -> Path:
    for domain in ("source", "target"):
        rows = [(n, s + shift * ("anomaly" in n)) for n, s in BOTH.items() if domain in n]
        write(folder / f"anomaly_score_{machine}_section_00_{domain}_test.csv", rows)
    return folder


def test_from_2022_on_a_domains_normal_clips_meet_the_anomalies_of_both_domains(tmp_path):
    (got,) = measure_shared(read_submission(of_2022(tmp_path))).cells
    # Source: 2 > 1, 2 < 3, 4.5 wins twice. Target: 2 loses twice, 4.5 > 4, 4.5 < 5.
    assert got.values[:2] == (3 / 4, 1 / 4)
    # Over both, up to a false-positive rate of 0.1: 5 is first, nothing found: area 0.
    assert got.values[2] == pytest.approx(0.5 * (1 - 0.005 / 0.095))
    # Source calls 3 (wrong) and 2 (right); target calls 4 (wrong) and misses 4.5.
    assert got.values[3:] == pytest.approx((0.5, 0.0, 1.0, 0.0, 2 / 3, 0.0))
    assert (got.domain, got.normal, got.anomalous) == ("", 4, 2)


def test_the_table_of_2022_names_domains_in_its_columns(tmp_path):
    lines = to_csv(measure_shared(read_submission(of_2022(tmp_path)))).splitlines()
    assert lines[:2] == [
        "fan",
        (
            "section,AUC (source),AUC (target),pAUC,precision (source),precision (target),recall (source),"
            "recall (target),F1 score (source),F1 score (target)"
        ),
    ]
    assert lines[2].startswith("00,0.75,0.25,")
    assert lines[3].startswith("arithmetic mean,0.75,0.25,")


def test_a_domain_without_normal_clips_has_no_auc_and_the_other_still_has(tmp_path):
    rows = [(n, s) for n, s in BOTH.items() if "target_test_normal" not in n]
    write(tmp_path / "anomaly_score_fan_section_00_test.csv", rows)
    result = measure_shared(read_submission(tmp_path))
    assert result.cells[0].values[:2] == (3 / 4, None)
    assert result.left_out == ("fan section 00 target: has no normal clips, so that no AUC is defined",)


def test_a_section_of_2022_without_anomalies_is_left_out_and_said(tmp_path):
    write(tmp_path / "anomaly_score_fan_section_00_test.csv", [(n, s) for n, s in BOTH.items() if "normal" in n])
    result = measure_shared(read_submission(tmp_path))
    assert result.cells == ()
    assert result.left_out == ("fan section 00: has only normal clips, so that no AUC is defined",)


@pytest.mark.parametrize("where", ["", "ground_truth_data"])
def test_labels_and_domains_come_from_an_evaluators_folders(tmp_path, where):
    names = [f"section_00_{i:04d}.wav" for i in range(4)]
    write(tmp_path / "scores/anomaly_score_fan_section_00_test.csv", zip(names, (1.0, 2.0, 4.0, 3.0), strict=True))
    truth = tmp_path / "evaluator"
    file = "ground_truth_fan_section_00_test.csv"
    write(truth / "ground_truth_data" / file, zip(names, (0, 1, 0, 1), strict=True))
    write(truth / "ground_truth_domain" / file, zip(names, (0, 0, 1, 1), strict=True))
    write(truth / "ground_truth_attributes" / file, [(n, f"section_00_source_test_normal_{n}") for n in names])
    cells = read_submission(tmp_path / "scores", truth / where)
    assert [(c.domain, c.labels) for c in cells] == [
        ("source", {names[0]: False, names[1]: True}),
        ("target", {names[2]: False, names[3]: True}),
    ]
    assert [c.values[0] for c in measure(cells).cells] == [1.0, 0.0]


def test_labels_come_from_the_clips_of_a_data_set(tmp_path):
    for name in ("section_00_source_test_normal_0000.wav", "section_00_source_test_anomaly_0000.wav"):
        (tmp_path / "data/fan/source_test").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data/fan/source_test" / name).touch()
    rows = [("section_00_source_test_normal_0000.wav", 1), ("section_00_source_test_anomaly_0000.wav", 2)]
    write(tmp_path / "scores/anomaly_score_fan_section_00_source_test.csv", rows)
    (got,) = measure(read_submission(tmp_path / "scores", tmp_path / "data")).cells
    assert got.values[0] == 1.0


def test_files_of_2020_hold_one_domain(tmp_path):
    rows = [("normal_id_02_00000000.wav", 1), ("anomaly_id_02_00000000.wav", 2)]
    write(tmp_path / "anomaly_score_fan_id_02.csv", rows)
    reading = read_all(tmp_path, GroundTruth())
    assert [(c.section, c.domain) for c in reading.cells] == [("02", "source")]
    assert reading.within_domain


def test_everything_that_is_wrong_is_told_in_one_reading(tmp_path):
    of_2021(tmp_path)
    write(tmp_path / "anomaly_score_pump_section_00_source_test.csv", [("a_normal_0.wav", "nan")])
    write(tmp_path / "anomaly_score_pump_section_01_source_test.csv", [("a_normal_0.wav", 1), ("a_normal_0.wav", 2)])
    (tmp_path / "anomaly_score_pump_section_02_source_test.csv").write_bytes(b"\xff\xfe\x00binary")
    write(tmp_path / "decision_result_valve_section_00_source_test.csv", [("a_normal_0.wav", 1)])
    write(tmp_path / "anomaly_score_fan_section_00_source.csv", [("b_normal_0.wav", 1)])
    reading = read_all(tmp_path, GroundTruth())
    said = [str(p) for p in reading.problems]
    for words in (
        "'nan', not a finite number",
        "occurs twice",
        "not a readable csv",
        "has decisions on clips without scores",
        "is scored by another file too",
        "fan_section_00_source.csv: is missing, but anomaly_score_fan_section_00_source.csv exists",
    ):
        assert sum(words in line for line in said) == 1, words
    assert all(line.count("\n") == 0 and p.remedy for line, p in zip(said, reading.problems, strict=True))
    assert {(c.machine, c.domain) for c in reading.cells} == {("fan", "source"), ("fan", "target")}


def test_a_file_that_the_truth_wants_and_nobody_scored_is_named(tmp_path):
    of_2021(tmp_path / "scores")
    for domain in ("source", "target"):
        rows = [(n, int("anomaly" in n)) for n in BOTH if domain in n]
        for section in ("00", "01"):
            write(tmp_path / f"truth/ground_truth_fan_section_{section}_{domain}_test.csv", rows)
    reading = read_all(tmp_path / "scores", read_truth(tmp_path / "truth"))
    assert [p.what.rsplit("/", 1)[1] for p in reading.problems] == [
        f"anomaly_score_fan_section_01_{d}_test.csv: is missing, but its clips are in the ground truth"
        for d in ("source", "target")
    ]


def test_a_domain_that_nothing_tells_is_not_guessed(tmp_path):
    write(tmp_path / "scores/anomaly_score_fan_section_00_test.csv", [("section_00_0000.wav", 1)])
    write(tmp_path / "truth/ground_truth_fan_section_00_test.csv", [("section_00_0000.wav", 1)])
    with pytest.raises(DataError, match="contains the domain"):
        read_submission(tmp_path / "scores", tmp_path / "truth")


def test_systems_pair_by_the_names_of_their_clips_not_by_the_order_of_their_rows(tmp_path):
    of_2021(tmp_path / "a")
    of_2021(tmp_path / "b")
    file = tmp_path / "b/anomaly_score_fan_section_00_source_test.csv"
    file.write_text("".join(reversed(file.read_text().splitlines(keepends=True))))
    a, b = paired_cells(read_submission(tmp_path / "a"), read_submission(tmp_path / "b"))
    for one, other in zip(a, b, strict=True):
        assert one.normal.tolist() == other.normal.tolist()
        assert cell_intervals(one, 20) == cell_intervals(other, 20)


def test_systems_that_scored_other_clips_are_not_compared(tmp_path):
    of_2021(tmp_path / "a")
    of_2021(tmp_path / "b", machine="pump")
    with pytest.raises(DataError, match="did not score the same clips"):
        paired_cells(read_submission(tmp_path / "a"), read_submission(tmp_path / "b"))


def call(*arguments: str):
    app = typer.Typer()
    app.command()(metrics)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_command_prints_one_json_document_and_writes_result_csv(tmp_path):
    of_2021(tmp_path / "a")
    of_2021(tmp_path / "b", shift=-9.0)
    out = tmp_path / "out/result.csv"
    got = call(tmp_path / "a", "--against", tmp_path / "b", "--out", out, "--draws", "50", "--json")
    assert got.exit_code == 0
    told = json.loads(got.stdout)
    assert told["protocol"] == "2021"
    assert [c["AUC"] for c in told["cells"]] == [0.5, 0.5]
    assert told["difference"]["value"] == pytest.approx(told["official_score"], abs=0.1)
    assert told["machines"]["fan"]["harmonic_mean"]["precision"] is None
    low, high = told["interval"]
    assert low <= told["official_score"] <= high
    assert out.read_text() == to_csv(measure(read_submission(tmp_path / "a")))


def test_the_command_tells_the_measure_by_the_files_and_fails_where_one_is_wrong(tmp_path):
    assert json.loads(call(of_2022(tmp_path), "--json").stdout)["protocol"] == "2022"
    write(tmp_path / "anomaly_score_fan_section_01_test.csv", [("section_01_source_test_normal_0.wav", "?")])
    got = call(tmp_path, "--protocol", "2021", "--draws", "5")
    assert got.exit_code == 1
    assert "official score" in got.stdout
    assert "'?', not a finite number" in got.stderr
    assert isinstance(call(tmp_path, "--protocol", "2019").exception, UsageError)


def test_the_command_refuses_scores_that_cannot_be_measured(tmp_path):
    write(tmp_path / "anomaly_score_fan_section_00_source_test.csv", [("a_normal_0.wav", 1)])
    assert "has only normal clips" in str(call(tmp_path).exception)


def test_clips_of_an_imported_recording_are_one_unit_of_the_interval(tmp_path):
    names = [
        f"section_00_source_test_{label}_{i:04d}_rec_{rec}.wav"
        for label, recs in (("normal", "aabbc"), ("anomaly", "dde"))
        for i, rec in enumerate(recs)
    ]
    write(tmp_path / "anomaly_score_fan_section_00_source_test.csv", [(n, i) for i, n in enumerate(names)])
    (cell,) = read_submission(tmp_path)
    pair = cell.cell()
    assert pair is not None
    assert pair.units == (3, 2)
