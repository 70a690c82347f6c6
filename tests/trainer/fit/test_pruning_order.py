import numpy as np
import pytest
from scipy.stats import spearmanr

from asd_agent.bundle.manifest import Combination, FramePooling
from asd_agent.calibrate import DensitySettings
from asd_agent.calibrate.compose import FittedExpert, FittedMember
from asd_agent.calibrate.condition import Calibrated, standardisation
from asd_agent.errors import DataError
from asd_agent.inference.ensemble import compressed
from asd_trainer.fit.pruning_order import LEAST_CLIPS, Candidate, Order, order_members
from asd_trainer.recipes.recipe import Prune

CLIPS = 60


def candidate(scores: dict[str, np.ndarray], **of: str) -> Candidate:
    """One expert whose members gave normal clips these scores; `of` names a member's unit where it has another id."""
    members = [
        FittedMember(name, DensitySettings(), FramePooling(), Calibrated({}, x, standardisation(x[np.isfinite(x)])))
        for name, x in scores.items()
    ]
    return Candidate([FittedExpert("ae", members, Combination())], [[of.get(m.member, m.member) for m in members]])


def three(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Two that hear much the same, and one that hears something else."""
    x = rng.normal(size=CLIPS)
    return {"a": x + 0.3 * rng.normal(size=CLIPS), "b": x + 0.3 * rng.normal(size=CLIPS), "c": rng.normal(size=CLIPS)}


def test_the_first_is_the_one_that_alone_judges_most_like_all_of_them():
    scores = three(np.random.default_rng(0))
    z = np.stack([(x - x.mean()) / standardisation(x).std for x in scores.values()])
    whole = compressed(z).mean(axis=0)
    by_hand = {name: spearmanr(x, whole).statistic for name, x in scores.items()}
    order = order_members([candidate(scores)], Combination())
    assert order.members[0] == max(by_hand, key=lambda name: by_hand[name])
    assert order.agreement[0] == pytest.approx(max(by_hand.values()), abs=0.02)  # spreads, not scales, are by hand
    assert order.agreement[-1] == 1.0
    assert sorted(order.members) == ["a", "b", "c"]
    assert order.clips == CLIPS


def test_neither_scale_nor_offset_of_a_members_scores_changes_the_order():
    scores = three(np.random.default_rng(1))
    moved = {name: 1000.0 * (n + 1) * x - 7.0 * n for n, (name, x) in enumerate(scores.items())}
    once, again = (order_members([candidate(s)], Combination()) for s in (scores, moved))
    assert once.members == again.members
    np.testing.assert_allclose(once.agreement, again.agreement)


def test_one_of_several_that_judge_alike_is_enough():
    x = np.random.default_rng(2).normal(size=CLIPS)
    order = order_members([candidate({"a": x, "b": 3 * x, "c": x + 1})], Combination())
    assert len(order.kept(Prune(agreement=1.0))) == 1


def test_the_section_and_domain_with_the_lowest_agreement_counts():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, CLIPS))
    noise = 0.1 * rng.normal(size=CLIPS)
    here, there = candidate({"a": x, "b": x + noise, "c": y}), candidate({"a": y, "b": x, "c": x + noise})
    order = order_members([here, there], Combination())
    assert order.members[0] == "b"  # with most of the others in both places, as neither of them is
    whole, alone = ([c.scores(kept, Combination()) for c in (here, there)] for kept in ("abc", "b"))
    assert order.agreement[0] == min(spearmanr(a, w).statistic for a, w in zip(alone, whole, strict=True))


def test_what_a_member_has_in_each_section_is_one_member():
    x = np.random.default_rng(4).normal(size=CLIPS)
    sections = [
        candidate(
            {f"bc-{n}-{s}-source": x + n for n in range(2)}, **{f"bc-{n}-{s}-source": f"bc-{n}" for n in range(2)}
        )
        for s in ("00", "01")
    ]
    assert sorted(order_members(sections, Combination()).members) == ["bc-0", "bc-1"]


def test_where_folds_rotate_over_members_the_few_clips_of_two_of_them_tell_nothing_of_the_others():
    x = np.random.default_rng(5).normal(size=95)
    fold = np.arange(95) % 5  # six members over five folds: the last shares its fold with the first
    rotating = {f"ae-{n}": np.where(fold == n % 5, x, np.nan) for n in range(6)}
    with pytest.raises(DataError, match=f"no section has {LEAST_CLIPS} normal clips that no member has learnt"):
        order_members([candidate(rotating)], Combination())


def test_members_are_kept_by_number_or_by_agreement():
    order = Order(("b", "a", "c"), (0.8, 0.95, 1.0), 60)
    assert order.kept(Prune(members=2)) == ("b", "a")
    assert order.kept(Prune(agreement=0.9)) == ("b", "a")
    assert order.kept(Prune(agreement=0.8)) == ("b",)
    assert order.kept(Prune(agreement=0.96)) == ("b", "a", "c")
    with pytest.raises(DataError, match="4 members cannot be kept of 3"):
        order.kept(Prune(members=4))


@pytest.mark.parametrize("given", [{}, {"members": 2, "agreement": 0.9}, {"members": 0}, {"agreement": 1.5}])
def test_a_pruning_says_one_thing(given):
    with pytest.raises(ValueError, match=r"members|agreement"):
        Prune.model_validate(given)
