"""The official measure: two public baseline runs, and a case worked by hand."""

import csv
import os
from pathlib import Path

import pytest

from asd_agent.errors import DataError
from asd_trainer.evaluation.metrics.result import measure, to_csv
from asd_trainer.evaluation.metrics.submission import ScoredCell, read_submission, write_submission

DATA = Path(os.environ.get("ASD_TEST_DATA", "../shared/data")) / "dcase2021_scores"


@pytest.mark.parametrize("system", ["ae", "mobilenetv2"])
def test_a_public_runs_result_csv_is_reproduced_to_1e_9(system):
    if not DATA.is_dir():
        pytest.skip(f"needs the public score files in {DATA}")
    got = list(csv.reader(to_csv(measure(read_submission(DATA / system))).splitlines()))
    with (DATA / system / "result.csv").open(newline="") as file:
        wanted = list(csv.reader(file))
    assert len(got) == len(wanted)
    numbers = 0
    for mine, theirs in zip(got, wanted, strict=True):
        for a, b in zip(mine, theirs, strict=False):
            try:
                value = float(b)
            except ValueError:
                assert a == b
            else:
                assert float(a) == pytest.approx(value, abs=1e-9)
                numbers += 1
    assert numbers > 300


def cell(**changes) -> ScoredCell:
    names = ["a_normal_0", "a_normal_1", "a_normal_2", "a_anomaly_0", "a_anomaly_1"]
    scores = dict(zip(names, [1.0, 2.0, 3.0, 2.0, 4.0], strict=True))
    decisions = dict(zip(names, [False, False, True, False, True], strict=True))
    labels = {n: "anomaly" in n for n in names}
    whole = {"scores": scores, "decisions": decisions, "labels": labels}
    return ScoredCell(**{"machine": "fan", "section": "00", "domain": "source", **whole, **changes})


def test_mixed_decisions_by_hand():
    # AUC: of six pairs 2 > 1, 2 = 2, 2 < 3, and 4 wins three times: (1 + 0.5 + 0 + 3) / 6.
    # One of two calls is right, one of two anomalies is called.
    (got,) = measure([cell()]).cells
    assert got.values[0] == pytest.approx(4.5 / 6)
    assert got.values[2:] == pytest.approx((0.5, 0.5, 0.5))


def test_a_cell_of_one_class_is_left_out_and_said():
    only = cell()
    normal = {n: s for n, s in only.scores.items() if "normal" in n}
    result = measure([cell(scores=normal, decisions=None, labels=dict.fromkeys(normal, False))])
    assert result.cells == ()
    assert "has only normal clips" in result.left_out[0]


def test_what_is_written_is_read_back(tmp_path: Path):
    write_submission(tmp_path, [cell()])
    (back,) = read_submission(tmp_path)
    assert back == cell()


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("scores", "decisions", "words"),
    [
        ("a_normal_0.wav,1\na_anomaly_0.wav,nan\n", None, "'nan', not a finite number"),
        ("a_normal_0.wav,1\na_normal_0.wav,2\n", None, "occurs twice"),
        ("a_normal_0.wav,1\na_anomaly_0.wav,2\n", "a_normal_0.wav,1\n", "has 1 decisions"),
        ("a_normal_0.wav,1\na_anomaly_0.wav,2\n", "a_normal_0.wav,1\nb.wav,0\n", "has no decision on a_anomaly_0"),
        ("a_normal_0.wav,1\na_anomaly_0.wav,2\n", "a_normal_0.wav,1\na_anomaly_0.wav,yes\n", "'yes'"),
        ("a_normal_0.wav;1\n", None, "1 columns"),
        ("x.wav,1\n", None, "has no label"),
        ("", None, "is empty"),
    ],
)
def test_bad_files_are_named_with_what_is_wrong(tmp_path: Path, scores, decisions, words):
    write(tmp_path, "anomaly_score_fan_section_00_source_test.csv", scores)
    if decisions is not None:
        write(tmp_path, "decision_result_fan_section_00_source_test.csv", decisions)
    with pytest.raises(DataError, match=words):
        read_submission(tmp_path)


def test_labels_come_from_a_truth_folder(tmp_path: Path):
    write(tmp_path, "anomaly_score_fan_section_03_source_test.csv", "x.wav,1\ny.wav,2\n")
    truth = tmp_path / "truth"
    truth.mkdir()
    write(truth, "ground_truth_fan_section_03_source_test.csv", "x.wav,0\ny.wav,1\n")
    (got,) = measure(read_submission(tmp_path, truth)).cells
    assert got.values[0] == 1.0
