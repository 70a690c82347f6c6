"""Recipes: the experts that are trained, on which features, and the scores and thresholds that follow.

Defaults are the paper's numbers (section 4.1) where it gives them.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from asd_agent.bundle.manifest import Combination
from asd_agent.errors import ConfigError
from asd_agent.features.log_mel import FeatureSpec
from asd_trainer.data.split import HeldOut
from asd_trainer.families.base import NamedExpert
from asd_trainer.families.registry import family_of, validate_expert
from asd_trainer.families.settings import Execution, Expert
from asd_trainer.settings import Settings

LEAST_EXPERTS = 2
"""Experts to choose one from."""
AnyExpert = Annotated[SerializeAsAny[Expert], BeforeValidator(validate_expert)]
"""Settings of an expert of whatever family its `kind` names."""


class Thresholds(Settings):
    """Wanted rate and method of thresholds; see `asd_agent.alarm.rate`.

    Attributes:
        method: From held-out scores to the level; `auto` fits a tail with 60 clips and more.
        false_alarms_per_day: Wanted rate after k-of-n; by default one a day, or the smallest rate that the normal clips
            of a section and domain support.
    """

    method: Literal["auto", "quantile", "gamma", "tail"] = "auto"
    false_alarms_per_day: float | None = Field(default=None, gt=0)


class Dimension(Settings):
    """Values that a search may try at one place of a recipe: a list of values, or a range of numbers.

    Attributes:
        values: Values to choose from.
        low: Smallest number.
        high: Largest number.
        step: Distance of the numbers; any number of the range where it is not given.
        log: Whether factors count rather than differences.
    """

    values: list[Any] | None = Field(default=None, min_length=2)
    low: float | None = None
    high: float | None = None
    step: float | None = Field(default=None, gt=0)
    log: bool = False

    @model_validator(mode="after")
    def _possible(self) -> Dimension:
        ranged = self.low is not None and self.high is not None
        if (self.values is None) != ranged or (not ranged and (self.low, self.high) != (None, None)):
            raise ValueError("give `values: […]`, or `low:` and `high:`")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.log and (self.step is not None or (self.low is not None and self.low <= 0)):
            raise ValueError("`log: true` wants numbers above 0 and no step")
        return self


class Prune(Settings):
    """Members of a recipe that are kept, in the order of `asd_trainer.fit.pruning_order`.

    Attributes:
        members: Number of members.
        agreement: Keep as few as order normal clips like all members do, up to this rank correlation.
    """

    members: int | None = Field(default=None, ge=1)
    agreement: float | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _one(self) -> Prune:
        if (self.members is None) == (self.agreement is None):
            raise ValueError("give `members:` or `agreement:`, and not both")
        return self


class Recipe(Execution):
    """Everything that decides a training besides the data and the seed.

    Attributes:
        features: Front end of every expert that names none.
        combination: From the experts' scores to one.
        experts_by_labels: Use one expert for each domain instead of all, chosen by the labelled test clips of the
            development sections (the paper's "max"); all experts where there are no labels.
        prune: Members that are kept of all, by their agreement on normal sound; all where it is not given.
        held_out: Normal clips that no network learns from.
        thresholds: Wanted thresholds.
        search: Values that `asd-trainer search` may try, by the place in the recipe, such as `features.n_mels` or
            `experts.0.training.learning_rate`. It decides nothing else.
        description: The recipe in a few words, for `asd-trainer recipes`. As the next two, it decides nothing.
        needs: Requirement beyond normal clips and a CPU, such as `CUDA` or `labels`.
        seconds: Seconds of one processor core for a member, as measured; None where nothing is trained.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    features: FeatureSpec = FeatureSpec()
    experts: list[AnyExpert] = Field(min_length=1)
    combination: Combination = Combination()
    experts_by_labels: bool = False
    prune: Prune | None = None
    held_out: HeldOut = HeldOut()
    thresholds: Thresholds = Thresholds()
    search: dict[str, Dimension] = Field(default_factory=dict, exclude=True)
    description: str = Field(default="", exclude=True)
    needs: str = Field(default="", exclude=True)
    seconds: float | None = Field(default=None, gt=0, exclude=True)

    @model_validator(mode="after")
    def _members_possible(self) -> Recipe:
        if self.experts_by_labels and len(self.experts) < LEAST_EXPERTS:
            raise ValueError("`experts_by_labels: true` needs two experts to choose from")
        for expert in self.experts:
            expert.check_members(self.features)
        if self.prune is not None and self.by_labels:
            raise ValueError("members are chosen by labels or pruned by their agreement, and not both")
        return self

    @model_serializer(mode="wrap")
    def _without_default(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `prune` at its default: what was made before the field existed keeps its digest."""
        content: dict[str, Any] = whole(self)
        if self.prune is None:
            content.pop("prune", None)
        return content

    @property
    def execution(self) -> Execution:
        """Device, repeatability and checkpoints."""
        return Execution(checkpoint_every=self.checkpoint_every, device=self.device, deterministic=self.deterministic)

    @property
    def by_labels(self) -> bool:
        """True where labelled test clips choose members or experts."""
        return self.experts_by_labels or any(e.best_by_labels is not None for e in self.experts)

    def named_experts(self) -> list[NamedExpert[Any]]:
        """Return the experts under names of their own, numbered where several are of one kind."""
        seen: Counter[str] = Counter()
        found = []
        for expert in self.experts:
            nth = seen[expert.kind]
            seen[expert.kind] += 1
            name = f"{expert.kind}-{nth + 1}" if nth else expert.kind
            found.append(NamedExpert(name, nth, expert, family_of(expert.kind).prefix))
        return found

    def choosing_by_labels(self, best: int) -> Recipe:
        """Return the same recipe with the best members of each expert chosen by labels, and a name that states it.

        Raises:
            ConfigError: No expert has members to choose from, or one has too few.
        """
        if not any(e.trained for e in self.experts):
            raise ConfigError(f"recipe {self.name} has no members to choose from", "Leave out --members-by-labels.")
        content = self.model_dump() | {"name": f"{self.name}-by-labels-{best}"}
        for expert in content["experts"]:
            if "members" in expert:
                expert["members_by_labels"] = best
        try:
            return Recipe.model_validate(content)
        except ValueError as error:
            raise ConfigError(
                f"recipe {self.name}: an expert has fewer than {best} members to choose from",
                "Choose the best 2, 3, 5, 10 or 20, or give the recipe more members.",
            ) from error

    def choosing_none(self) -> Recipe:
        """Return the same recipe with all of its members and experts used."""
        experts = [e.choosing_none() for e in self.experts]
        return self.model_copy(update={"experts": experts, "experts_by_labels": False})

    def pruned(self, prune: Prune) -> Recipe:
        """Return the same recipe with fewer members, and a name that states it.

        Raises:
            ConfigError: Labels choose its members already.
        """
        how = f"{prune.members}" if prune.members is not None else f"agreement-{prune.agreement:g}".replace(".", "_")
        try:
            return Recipe.model_validate(self.model_dump() | {"name": f"{self.name}-pruned-{how}", "prune": prune})
        except ValueError as error:
            raise ConfigError(
                f"recipe {self.name} has its members chosen by labels", "Prune a recipe that uses all of them."
            ) from error
