"""A family outside the package: it trains, exports, verifies and scores, and nothing else was changed for it."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.ensemble import IsolationForest

from asd_agent.bundle import Bundle
from asd_agent.config.file import ConfigFileError
from asd_agent.errors import ConfigError
from asd_trainer.data.clips import load_log_mels
from asd_trainer.data.dataset import scan
from asd_trainer.data.split import DataSplit, HeldOut, by_section
from asd_trainer.families.registry import code_digest, family_of, load_folder
from asd_trainer.recipes.load import load_recipe
from rigs.clips import write_data_set

FOLDER = Path(__file__).parent / "isolation_forest"
RECIPE = """name: forest
features: {n_fft: 1024, hop_length: 2000, n_mels: 16}
experts:
  - {kind: isolation_forest, trees: 20}
  - {kind: level}
device: cpu
"""


def call(program: str, *arguments: object) -> str:
    """The command as a person gives it, in a process that knows nothing of this test."""
    code = f"from {program}.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set, trained, evaluated and exported by the family of the folder."""
    place = tmp_path_factory.mktemp("own")
    write_data_set(place / "data", train_source=6, test=2)
    (place / "forest.yaml").write_text(RECIPE)
    own = ("--families", FOLDER)
    call("asd_trainer", *own, "train", place / "data", "--recipe", place / "forest.yaml", "--out", place / "runs")
    call("asd_trainer", *own, "evaluate", place / "runs", "--json")
    call("asd_trainer", *own, "export", place / "runs", "--out", place / "models")
    return place


def test_the_bundle_passes_its_golden_windows_and_names_a_kind_that_the_agent_knows(place):
    call("asd_agent", "bundle", "verify", place / "models" / "fan")
    manifest = Bundle.open(place / "models" / "fan").manifest
    assert {m.id: m.kind for m in manifest.members} == {"forest-0": "network", "level": "level"}
    condition = manifest.condition("00", "source")
    assert condition is not None
    assert [(e.name, e.members[0].density) for e in condition.experts] == [
        ("isolation_forest", "mean"),
        ("level", "mahalanobis"),
    ]


def test_the_box_scores_as_the_evaluation_does_and_says_how_unusual_the_output_is(place):
    clip = next((place / "data").glob("fan/source_test/section_00_*_anomaly_0000.wav"))
    arguments = (clip, "--bundle", place / "models" / "fan", "--section", "00", "--domain", "source", "--json")
    (scored,) = json.loads(call("asd_agent", "score", *arguments))["clips"]
    scores = place / "runs" / "forest" / "seed-0" / "fan" / "scores" / "anomaly_score_fan_section_00_source_test.csv"
    with scores.open(newline="") as file:
        evaluated = dict(csv.reader(file))
    assert scored["score"] == pytest.approx(float(evaluated[clip.name]), abs=1e-5)


def test_the_graph_gives_the_scores_of_scikit_learns_forest(place):
    """Fitted here to the clips that are not held out, from the member's seed."""
    load_folder(FOLDER)
    recipe = load_recipe(place / "forest.yaml")
    statistics = sys.modules[type(family_of("isolation_forest")).__module__].statistics
    split = DataSplit.of(scan(place / "data"), HeldOut(), 0)
    training, held_out = split.training("fan"), split.held_out("fan")
    learnt = [c for own in by_section(training, "source").values() for c in own if c.path.name not in held_out]
    forest = IsolationForest(n_estimators=20, random_state=0).fit(
        statistics(load_log_mels(learnt, recipe.features).features)
    )
    opened = Bundle.open(place / "models" / "fan")
    golden = opened.golden()
    window = golden["windows"][:1]
    from asd_agent.features.log_mel import log_mel

    wanted = -forest.score_samples(statistics(log_mel(window[0] / 32768.0, recipe.features)[None]))[0]
    assert golden["member/forest-0"][0] == pytest.approx(wanted, abs=1e-5)


def test_another_line_in_the_folder_is_another_training(tmp_path):
    load_folder(FOLDER)
    copy = shutil.copytree(FOLDER, tmp_path / "copy")
    (copy / "graph.py").write_text((copy / "graph.py").read_text() + "\n# changed\n")
    code = (
        "import sys; from pathlib import Path; from asd_trainer.families.registry import code_digest, load_folder;"
        "load_folder(Path(sys.argv[1])); print(code_digest('isolation_forest'))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(copy)], capture_output=True, text=True, check=True)
    assert len(done.stdout.strip()) == 64
    assert done.stdout.strip() != code_digest("isolation_forest")
    assert code_digest("autoencoder") == ""


@pytest.mark.parametrize(
    ("expert", "message"),
    [
        ("{kind: isolation_tree}", r"no family has the kind 'isolation_tree'.*Kinds: autoencoder, classifier"),
        ("{kind: autoencodr}", r"no family has the kind 'autoencodr'; did you mean 'autoencoder'"),
        ("{members: 2}", r"an expert needs a kind: one of autoencoder, classifier"),
        ("{kind: level, density: {density: gauss}}", r"density\.density: input should be 'gmm', 'mahalanobis'"),
        ("{kind: classifier, density: {density: gmm}}", "logit_distance, posterior_distance or bank"),
    ],
)
def test_an_unknown_kind_or_density_is_refused_by_name(tmp_path, expert, message):
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\nexperts:\n  - {expert}\n")
    with pytest.raises(ConfigFileError, match=message):
        load_recipe(path)
    with pytest.raises(ConfigError, match="no family has the kind 'isolation_tree'"):
        family_of("isolation_tree")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"gone: is no folder of families\. Name a folder with an __init__\.py"),
        ("", r"__init__\.py: registers no family\. Call asd_trainer\.families\.registry\.register in it"),
        ("import nowhere_to_be_found", r"cannot be imported: ModuleNotFoundError: No module named"),
    ],
)
def test_a_folder_that_is_no_family_is_refused_with_the_reason(tmp_path, content, message):
    folder = tmp_path / "gone"
    if content is not None:
        folder.mkdir()
        (folder / "__init__.py").write_text(content)
    with pytest.raises(ConfigError, match=message):
        load_folder(folder)
