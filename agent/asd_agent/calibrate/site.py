"""A condition for the place where the box stands: scorers and thresholds refitted to minutes of normal sound.

Networks stay as they are. What is fitted is what the bundle's own training fitted, with two differences: a density may
be the bundle's own, moved, where held-out clips support it; and a live stretch of sound is one recording, so it is
cut into blocks that are held out together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from asd_agent.alarm.rate import Method, Rule
from asd_agent.audio.quality import level_dbfs
from asd_agent.audio.recording import session_of
from asd_agent.bundle import Bundle
from asd_agent.bundle.manifest import Condition, DomainName, ExpertUse, MemberUse
from asd_agent.bundle.references import raw_reference
from asd_agent.calibrate.compose import (
    REFERENCE,
    CalibrationSound,
    FittedExpert,
    FittedMember,
    ThresholdSettings,
    compose,
    compose_moved,
)
from asd_agent.calibrate.condition import (
    FOLDS,
    PROVISIONAL_BELOW,
    Calibrated,
    DomainData,
    calibrate_near,
    calibrate_target,
)
from asd_agent.calibrate.hop_windows import HopWindows
from asd_agent.calibrate.settings import Arrays, DensitySettings
from asd_agent.errors import BundleError, DataError
from asd_agent.inference.members import ModelOutput, WindowFeatures, Windows
from asd_agent.inference.scorer import BundleScorer
from asd_agent.inference.scorer_arrays import scorer_arrays

LEAST_WINDOWS = 3
BATCH = 16
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SiteSound:
    """Normal sound that was measured on the spot.

    Attributes:
        windows: Shape (windows, samples), in the order of time.
        recordings: Which recording each comes from; windows of one are never on both sides of a fold.
        follows: Whether each begins where the one before ends; none does where it is empty.
        operating: Operating condition that the name of each window's file states, or nothing.
    """

    windows: Windows
    recordings: Sequence[str]
    follows: Sequence[bool] = ()
    operating: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.windows)

    def hops(self, rule: Rule) -> HopWindows:
        """Return the windows at a rule's hop where the sound is contiguous."""
        return HopWindows.of(self.follows or [False] * len(self), rule)


def blocks(recordings: Sequence[str], wanted: int = FOLDS) -> list[str]:
    """Recordings, cut into contiguous blocks where there are fewer than are wanted.

    Neighbouring blocks of one stretch of sound are more alike than recordings of different days: what is fitted
    from them promises a little too much.
    """
    names = list(dict.fromkeys(recordings))
    if len(names) >= wanted:
        return list(recordings)
    each = -(-wanted // len(names))
    seen = dict.fromkeys(names, 0)
    totals = {name: list(recordings).count(name) for name in names}
    cut = []
    for name in recordings:
        cut.append(f"{name}#{seen[name] * each // totals[name]}")
        seen[name] += 1
    return cut


def calibrate_site(
    scorer: BundleScorer,
    section: str,
    like: DomainName,
    sound: SiteSound,
    *,
    false_alarms_per_day: float | None = None,
    rule: Rule | None = None,
    progress: Progress | None = None,
) -> tuple[Condition, Arrays]:
    """Fit the `site` condition of a section.

    Args:
        scorer: The bundle, with its sessions.
        section: Its two digits.
        like: The domain whose members, densities and combinations are taken over.
        sound: Normal sound of the site.
        false_alarms_per_day: Wanted rate; by default what the recipe states, or what the sound supports.
        rule: Rule of the monitor, which the rate holds for.
        progress: Receives windows scored, and number of windows.

    Returns:
        The condition, and its arrays.

    Raises:
        BundleError: The bundle lacks the section, or does not state how its scorers were fitted.
        DataError: Too little sound.
    """
    if len(sound) < LEAST_WINDOWS:
        raise DataError(
            f"too few windows of normal sound to calibrate by: {len(sound)}",
            f"Give at least {LEAST_WINDOWS}, better a hundred: a quarter of an hour and more.",
        )
    bundle = scorer.bundle
    base = bundle.condition(section, like)
    rule = rule or Rule(window_seconds=bundle.manifest.window_seconds)
    cut, hops = blocks(sound.recordings), sound.hops(rule)
    steps = _Steps(sum(len(e.members) for e in base.experts) * (len(sound) + len(hops.begins)), progress)
    experts = [
        FittedExpert(
            expert.name,
            [_fit(scorer, expert, use, sound, cut, hops, section, steps) for use in expert.members],
            expert.combination,
        )
        for expert in base.experts
    ]
    wanted = stated_rate(bundle, base) if false_alarms_per_day is None else false_alarms_per_day
    levels = [level_dbfs(w) for w in sound.windows]
    measured = CalibrationSound(
        len(sound),
        levels,
        len(sound) < PROVISIONAL_BELOW,
        hops,
        len(set(sound.recordings)),
        session_of(sound.recordings),
        sound.operating,
    )
    method: Method = "gamma" if base.threshold.method == "gamma" else "auto"
    asked = ThresholdSettings(method, wanted, rule)
    if measured.provisional:
        moved = {m.member: m for e in experts for m in e.members}
        return compose_moved(base, bundle.scorers, "site", moved, measured, asked)
    return compose(section, "site", experts, base.combination, measured, asked)


def stated_rate(bundle: Bundle, base: Condition) -> float | None:
    """Return the rate that a bundle's recipe states; None where it leaves it to the data.

    Bundles without a rule in their thresholds carry the default of their time, 0.1 a day. It is not attainable with the
    clips of most bundles, and nobody chose it.
    """
    if base.threshold.rule is None:
        return None
    stated = bundle.manifest.provenance.recipe_settings.get("thresholds", {}).get("false_alarms_per_day")
    return float(stated) if isinstance(stated, int | float) else None


def density_settings(bundle: Bundle, expert: ExpertUse) -> DensitySettings:
    """Return the settings of an expert's densities, from the recipe that the bundle carries.

    Raises:
        BundleError: The recipe does not state them.
    """
    seen: dict[str, int] = {}
    for stated in bundle.manifest.provenance.recipe_settings.get("experts", []):
        kind = str(stated.get("kind", ""))
        seen[kind] = seen.get(kind, 0) + 1
        name = f"{kind}-{seen[kind]}" if seen[kind] > 1 else kind
        if name == expert.name and "density" in stated:
            return DensitySettings.model_validate(stated["density"])
    raise BundleError(
        f"{bundle.path}: does not state how the scorers of {expert.name!r} were fitted",
        "Export it again by asd-trainer.",
    )


def _fit(
    scorer: BundleScorer,
    expert: ExpertUse,
    use: MemberUse,
    sound: SiteSound,
    recordings: Sequence[str],
    hops: HopWindows,
    section: str,
    steps: _Steps,
) -> FittedMember:
    settings = density_settings(scorer.bundle, expert)

    def infer(windows: Windows) -> ModelOutput:
        steps.add(len(windows))
        return scorer.infer(WindowFeatures(windows), use.member, section)

    parts = [infer(sound.windows[start : start + BATCH]) for start in range(0, len(sound), BATCH)]
    data = DomainData(np.concatenate(parts), recordings)
    if len(hops.begins):
        chosen = np.array_split(np.arange(len(hops.begins)), -(-len(hops.begins) // BATCH))
        between = np.concatenate([infer(hops.cut(sound.windows, part)) for part in chosen])
        data = replace(data, between=between, begins=hops.begins)
    arrays = scorer.bundle.scorers
    known = {k: np.asarray(v) for k, v in scorer_arrays(arrays, use.scorer).items() if k != REFERENCE}
    if len(sound) < PROVISIONAL_BELOW:
        reference = raw_reference(scorer.bundle, expert, use)
        fitted = calibrate_target(data, Calibrated(known, reference, use.standardisation), settings, use.pooling)
    else:
        fitted = calibrate_near(data, known, settings, use.pooling)
    return FittedMember(use.member, settings, use.pooling, fitted)


class _Steps:
    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def add(self, count: int) -> None:
        self._done += count
        if self._progress:
            self._progress(self._done, self._total)
