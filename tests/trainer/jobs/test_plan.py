"""Jobs of a plan: they stay the same while what decides them does; data that does not permit them is refused."""

import json
from pathlib import Path

import pytest

from asd_agent.errors import ConfigError, DataError, UsageError
from asd_trainer.data.dataset import scan
from asd_trainer.data.digests import Digests
from asd_trainer.data.split import by_section, section_folds
from asd_trainer.jobs import digests
from asd_trainer.jobs.plan import Plan, make_plan
from asd_trainer.recipes.load import load_recipe, load_recipes
from asd_trainer.recipes.recipe import Recipe

AUTOENCODER = {"kind": "autoencoder", "members": 2, "training": {"steps": 7}}


def recipe(name: str = "mine", *experts: dict[str, object], **more: object) -> Recipe:
    return Recipe.model_validate({"name": name, "experts": list(experts) or [AUTOENCODER], **more})


def data_set(root: Path, *, source: int = 8, target: int = 3, test: int = 1, sections: str = "01") -> Path:
    """Names as they should be; a plan reads no sound."""
    names = [f"train/section_0{s}_source_train_normal_{i:04d}.wav" for s in sections for i in range(source)]
    names += [f"train/section_0{s}_target_train_normal_{i:04d}.wav" for s in sections for i in range(target)]
    names += [
        f"source_test/section_0{s}_source_test_{label}_{i:04d}.wav"
        for s in sections
        for label in ("normal", "anomaly")
        for i in range(test)
    ]
    for name in names:
        path = root / "fan" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


def planned(root: Path, *recipes: Recipe, seeds: int = 1, evaluations: bool = False) -> Plan:
    return make_plan([scan(root)], recipes, range(seeds), root.parent / "runs", evaluations=evaluations)


def by_name(plan: Plan) -> dict[str, str]:
    return digests(plan.jobs)


def test_each_member_bundle_and_evaluation_is_a_job_with_its_size(tmp_path):
    plan = planned(data_set(tmp_path / "data"), recipe(), recipe("loud", {"kind": "level"}), evaluations=True)
    assert {name: dict(size) for name, size in plan.sizes.items()} == {
        # 2 of 8 recordings of each of 2 sections are held out: at least 2, and a fifth of 8
        "mine/seed-0/fan/ae-0": {"clips": 12, "steps": 7},
        "mine/seed-0/fan/ae-1": {"clips": 12, "steps": 7},
        "mine/seed-0/fan/bundle": {"clips": 22},
        "mine/seed-0/fan/evaluation": {"clips": 4},
        "loud/seed-0/fan/bundle": {"clips": 22},
        "loud/seed-0/fan/evaluation": {"clips": 4},
    }
    needs = {job.name: job.depends_on for job in plan.jobs}
    assert needs["mine/seed-0/fan/bundle"] == ("mine/seed-0/fan/ae-0", "mine/seed-0/fan/ae-1")
    assert needs["mine/seed-0/fan/evaluation"] == ("mine/seed-0/fan/bundle",)


def changed(before: Plan, after: Plan) -> set[str]:
    old, new = by_name(before), by_name(after)
    assert set(old) == set(new)
    return {name.rpartition("/")[2] for name in old if old[name] != new[name]}


@pytest.mark.parametrize(
    ("experts", "jobs"),
    [
        ({"density": {"density": "mahalanobis"}}, {"bundle", "evaluation"}),
        ({"replicas": {"count": 3}}, {"bundle", "evaluation"}),
        ({"training": {"steps": 8}}, {"ae-0", "ae-1", "bundle", "evaluation"}),
        ({"features": {"n_mels": 64}}, {"ae-0", "ae-1", "bundle", "evaluation"}),
    ],
)
def test_a_setting_does_anew_what_depends_on_it_and_no_more(tmp_path, experts, jobs):
    root = data_set(tmp_path / "data")
    assert (
        changed(
            planned(root, recipe(), evaluations=True),
            planned(root, recipe("mine", AUTOENCODER | experts), evaluations=True),
        )
        == jobs
    )


@pytest.mark.parametrize(
    ("clip", "jobs"),
    [
        ("train/section_00_source_train_normal_0003.wav", {"ae-0", "ae-1", "bundle", "evaluation"}),
        ("train/section_00_target_train_normal_0001.wav", {"bundle", "evaluation"}),
        ("source_test/section_00_source_test_anomaly_0000.wav", {"evaluation"}),
    ],
)
def test_another_clip_does_anew_what_hears_it_and_no_more(tmp_path, clip, jobs):
    root = data_set(tmp_path / "data")
    before = planned(root, recipe(), evaluations=True)
    (root / "fan" / clip).write_text("another sound")
    assert changed(before, planned(root, recipe(), evaluations=True)) == jobs


def test_neither_the_place_of_the_data_nor_a_second_data_set_does_anything_anew(tmp_path):
    here, other = data_set(tmp_path / "here"), data_set(tmp_path / "other", source=9)
    alone = by_name(planned(here, recipe(), evaluations=True))
    there = here.rename(tmp_path / "there")
    assert by_name(planned(there, recipe(), evaluations=True)) == alone
    both = make_plan([scan(there), scan(other)], [recipe()], [0], tmp_path / "runs", evaluations=True)
    found = by_name(both)
    assert {f"there/{name}": digest for name, digest in alone.items()}.items() <= found.items()
    assert [one.run.folder.relative_to(tmp_path).as_posix() for one in both.runs] == [
        "runs/there/mine/seed-0/fan",
        "runs/other/mine/seed-0/fan",
    ]


def test_seeds_are_runs_of_their_own_and_members_never_share_one(tmp_path):
    two = recipe("two", AUTOENCODER, AUTOENCODER | {"id_regression": False})
    plan = planned(data_set(tmp_path / "data"), two, seeds=2)
    members = [job for job in plan.jobs if job.kind == "network"]
    assert [job.name.rpartition("/")[2] for job in members[:4]] == ["ae-0", "ae-1", "ae2-0", "ae2-1"]
    assert len({job.arguments["member_seed"] for job in members}) == len(members) == 8


def test_the_single_autoencoder_is_a_member_of_the_pool_and_scorers_do_not_decide_networks(tmp_path):
    """On few clips folds rotate over the members, and the first is the single one's."""
    root = data_set(tmp_path / "data")
    names = ["ae", "ae-ens", "ae-ens-ranking", "ae-no-masks", "ae-one-scorer", "ae-mean", "ae-no-density"]
    plan = planned(root, *load_recipes(names))
    found = by_name(plan)
    networks = [job.name for job in plan.jobs if job.kind == "network"]
    assert len(networks) == 1 + 6 + 6 + 4
    assert len({found[name] for name in networks}) == 6
    of_pool = [job.arguments for job in plan.jobs if job.name.startswith("ae-ens/") and job.kind == "network"]
    assert [a["fold"] for a in of_pool] == [0, 1, 2, 3, 4, 5]
    parts = [a["expert"] for a in of_pool]
    assert [(p["features"]["n_mels"], p["network"]["blocks"]) for p in parts] == [(64, 2), (96, 2), (64, 1)] * 2


def test_seeds_share_what_no_chance_decides(tmp_path):
    root, gmm = data_set(tmp_path / "data"), {"kind": "level", "density": {"density": "gmm"}}
    plan = planned(root, recipe("plain", {"kind": "level"}), recipe("mixture", gmm), seeds=2, evaluations=True)
    found = by_name(plan)
    assert found["plain/seed-0/fan/evaluation"] == found["plain/seed-1/fan/evaluation"]
    assert found["mixture/seed-0/fan/bundle"] != found["mixture/seed-1/fan/bundle"]


def test_folds_rotate_by_recording_until_every_clip_was_held_out_once(tmp_path):
    clips = by_section(scan(data_set(tmp_path / "data", source=11, sections="0")).clips, "source")["00"]
    clips = [c for c in clips if c.split == "train"]
    settings = recipe().held_out
    parts = section_folds(clips, settings, 3)
    assert [len(p) for p in parts] == [3] * 4
    assert frozenset().union(*parts) == {c.path.name for c in clips}
    assert not parts[0] & parts[1] | parts[1] & parts[2]


def test_many_clips_have_one_fold(tmp_path):
    clips = list(scan(data_set(tmp_path / "data", source=100, sections="0", target=0, test=0)).clips)
    (only,) = section_folds(clips, recipe().held_out, 0)
    assert len(only) == 10


def test_choosing_by_labels_evaluates_all_members_first(tmp_path):
    three = recipe("pool", AUTOENCODER | {"members": 4}).choosing_by_labels(3)
    plan = planned(data_set(tmp_path / "data"), three)
    needs = {job.name.removeprefix("pool-by-labels-3/seed-0/fan/"): job.depends_on for job in plan.jobs}
    assert list(needs) == ["ae-0", "ae-1", "ae-2", "ae-3", "pool", "pool-evaluation", "bundle"]
    assert [n.rpartition("/")[2] for n in needs["bundle"]] == ["ae-0", "ae-1", "ae-2", "ae-3", "pool-evaluation"]


def test_there_is_nothing_to_choose_by_without_labelled_anomalies_or_among_too_few(tmp_path):
    pool = recipe("pool", AUTOENCODER | {"members": 4})
    with pytest.raises(DataError, match="machine fan has no labelled anomalies in sections 00, 01, 02"):
        planned(data_set(tmp_path / "data", test=0), pool.choosing_by_labels(3))
    with pytest.raises(ConfigError, match="fewer than 5 members"):
        pool.choosing_by_labels(5)
    with pytest.raises(ConfigError, match="has no members to choose from"):
        recipe("loud", {"kind": "level"}).choosing_by_labels(3)


def test_a_network_that_tells_sections_apart_needs_two(tmp_path):
    with pytest.raises(DataError, match="machine fan has one section"):
        planned(data_set(tmp_path / "data", sections="0"), recipe("mine", {"kind": "section_classifier"}))


def test_a_machine_without_labelled_test_clips_is_trained_and_its_evaluation_left_out(tmp_path):
    plan = planned(data_set(tmp_path / "data", test=0), recipe(), evaluations=True)
    assert [job.kind for job in plan.jobs] == ["network", "network", "bundle"]
    assert plan.runs[0].evaluation is None
    (text,) = plan.left_out
    assert "has no labelled test clips of fan" in text


@pytest.mark.parametrize(
    ("data", "expert", "text"),
    [
        ({"source": 1}, {"kind": "level"}, "1 normal clips of 1 recording of section 00 cannot be divided"),
        ({"source": 3}, AUTOENCODER, "3 normal recordings of section 00 are too few to train a network"),
        ({"source": 0}, {"kind": "level"}, "section 00 of fan has target clips but no source clips"),
        ({"source": 0, "target": 0}, AUTOENCODER, "machine fan has no normal clips for training"),
    ],
)
def test_data_that_does_not_permit_a_recipe_is_refused_before_anything_starts(tmp_path, data, expert, text):
    with pytest.raises(DataError, match=text) as caught:
        planned(data_set(tmp_path / "data", **data), recipe("mine", expert))
    assert caught.value.remedy
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("source", [2, 3])
def test_two_recordings_are_enough_for_a_detector_without_a_network(tmp_path, source):
    assert (
        len(planned(data_set(tmp_path / "data", source=source, target=0), recipe("mine", {"kind": "level"})).jobs) == 1
    )


def test_a_recipe_called_like_the_folder_of_the_jobs_is_refused(tmp_path):
    with pytest.raises(UsageError, match="can be called 'jobs'"):
        planned(data_set(tmp_path / "data"), recipe("jobs"))


def test_a_clip_is_read_again_only_when_it_has_changed(tmp_path):
    root = data_set(tmp_path / "data", sections="0")
    clips = scan(root).clips
    runs = tmp_path / "runs"
    first = Digests(runs)
    whole = first.of(clips, root)
    first.remember()
    known = json.loads((runs / "digests.json").read_text())
    path = str(clips[0].path.resolve())
    known[path][2] = "remembered"
    (runs / "digests.json").write_text(json.dumps(known))
    assert Digests(runs).of(clips, root) != whole
    clips[0].path.write_text("longer than it was before")
    assert Digests(runs).of(clips, root) == Digests().of(clips, root)


def test_a_damaged_memory_is_no_more_than_forgotten(tmp_path):
    root = data_set(tmp_path / "data", sections="0")
    (tmp_path / "digests.json").write_text('{"half')
    assert Digests(tmp_path).of(scan(root).clips, root) == Digests().of(scan(root).clips, root)


def test_recipes_are_named_by_commas_by_files_and_by_lists(tmp_path):
    (tmp_path / "own.yaml").write_text("name: own\nexperts: [{kind: level}]\n")
    (tmp_path / "list.yaml").write_text("recipes: [quick, own.yaml]\n")
    assert [r.name for r in load_recipes([])] == [
        "level",
        "mahalanobis",
        "indicators",
        "baseline-ae-short",
        "ae",
        "ae-ens",
        "bc",
        "bc-ens",
    ]
    assert [r.name for r in load_recipes(["ablations", "tiny"])][::10] == ["ae", "tiny"]
    assert [r.name for r in load_recipes(["level,tiny", tmp_path / "own.yaml"])] == ["level", "tiny", "own"]
    assert [r.name for r in load_recipes([tmp_path / "list.yaml"])] == ["quick", "own"]
    assert load_recipes(["tiny"]) == [load_recipe("tiny")]
