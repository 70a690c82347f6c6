"""Recipes: which experts are trained, on what features, and how scores and thresholds follow.

A recipe is a YAML file; the packaged ones are known by name. Defaults are the paper's numbers (section 4.1) where it
gives them.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from asd_agent.bundle.manifest import Combination
from asd_agent.config.file import load_settings
from asd_agent.errors import ConfigError
from asd_agent.features.log_mel import FeatureSpec
from asd_trainer.data.split import HeldOut
from asd_trainer.families.settings import (
    AnyExpert,
    AnyNetwork,
    AutoencoderExpert,
    ClassifierExpert,
    EmbeddingExpert,
    Expert,
    MachineNetwork,
    NetworkExpert,
)
from asd_trainer.settings import Settings

FOLDER = Path(__file__).parent
LEAST_EXPERTS = 2
"""To choose one from."""
TABLE = FOLDER / "table.yaml"
"""The recipes that a table compares where none is named."""


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
    """What a search may set one value of a recipe to: some values, or a range of numbers.

    Attributes:
        values: To choose from.
        low: Smallest number.
        high: Largest number.
        step: Between whole numbers, or between numbers; any where it is not given.
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


class Recipe(Settings):
    """Everything that decides a training besides the data and the seed.

    Attributes:
        features: Front end of every expert that names none.
        combination: Of the experts.
        experts_by_labels: Instead of combining experts, one of them for each domain, chosen by the labelled test clips
            of the development sections (the paper's "max"); all of them where there are no labels.
        prune: How many of all members are kept, by their agreement on normal sound; all where it is not given.
        checkpoint_every: Steps between checkpoints.
        device: `auto` takes CUDA where there is one.
        deterministic: Bit-equal repeats on one device, at some cost in speed on CUDA.
        search: What `asd-trainer search` may change, by the place in the recipe, such as `features.n_mels` or
            `experts.0.training.learning_rate`. It decides nothing else.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    features: FeatureSpec = FeatureSpec()
    experts: list[AnyExpert] = Field(min_length=1)
    combination: Combination = Combination()
    experts_by_labels: bool = False
    prune: Prune | None = None
    held_out: HeldOut = HeldOut()
    thresholds: Thresholds = Thresholds()
    checkpoint_every: int = Field(default=500, ge=1)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    deterministic: bool = True
    search: dict[str, Dimension] = Field(default_factory=dict, exclude=True)

    @model_validator(mode="after")
    def _members_possible(self) -> Recipe:
        if self.experts_by_labels and len(self.experts) < LEAST_EXPERTS:
            raise ValueError("`experts_by_labels: true` needs two experts to choose from")
        for expert in self.experts:
            if isinstance(expert, AutoencoderExpert | ClassifierExpert):
                for number in range(len(expert.variants)):
                    expert.member(number, self.features)
        if self.prune is not None and self.by_labels:
            raise ValueError("members are chosen by labels or pruned by their agreement, and not both")
        return self

    @model_serializer(mode="wrap")
    def _without_default(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `prune` where nothing is pruned: what was made before there was a choice is found again."""
        said: dict[str, Any] = whole(self)
        if self.prune is None:
            said.pop("prune", None)
        return said

    def features_of(self, expert: Expert) -> FeatureSpec:
        """The front end of an expert."""
        return expert.features or self.features

    @property
    def by_labels(self) -> bool:
        """Whether labelled test clips choose members or experts."""
        return self.experts_by_labels or any(
            isinstance(e, NetworkExpert) and e.members_by_labels is not None for e in self.experts
        )

    def choosing_by_labels(self, best: int) -> Recipe:
        """The same recipe with the best so many members of each expert chosen by labels, under a name that says so.

        Raises:
            ConfigError: No expert has members to choose from, or one has too few.
        """
        if not any(isinstance(e, NetworkExpert) for e in self.experts):
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
        """The same recipe with all of its members and experts used."""
        experts = [
            e.model_copy(update={"members_by_labels": None}) if isinstance(e, NetworkExpert) else e
            for e in self.experts
        ]
        return self.model_copy(update={"experts": experts, "experts_by_labels": False})

    def pruned(self, prune: Prune) -> Recipe:
        """The same recipe with fewer members, under a name that says so.

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

    def autoencoder(self) -> AutoencoderExpert:
        """The first autoencoder expert.

        Raises:
            ConfigError: There is none.
        """
        for expert in self.experts:
            if isinstance(expert, AutoencoderExpert):
                return expert
        raise ConfigError(f"recipe {self.name} has no autoencoder", "Add an expert with `kind: autoencoder`.")

    def machine_network(self) -> MachineNetwork:
        """The first expert with one network a machine.

        Raises:
            ConfigError: There is none.
        """
        for expert in self.experts:
            if isinstance(expert, MachineNetwork):
                return expert
        raise ConfigError(f"recipe {self.name} has no network of a whole machine", "Add `kind: autoencoder`.")

    def classifier(self) -> ClassifierExpert:
        """The first classifier expert.

        Raises:
            ConfigError: There is none.
        """
        for expert in self.experts:
            if isinstance(expert, ClassifierExpert):
                return expert
        raise ConfigError(f"recipe {self.name} has no classifier", "Add an expert with `kind: classifier`.")

    def embedding(self) -> EmbeddingExpert:
        """The first embedding expert.

        Raises:
            ConfigError: There is none.
        """
        for expert in self.experts:
            if isinstance(expert, EmbeddingExpert):
                return expert
        raise ConfigError(f"recipe {self.name} has no embedding", "Add an expert with `kind: embedding`.")

    def with_outliers_in(self, folder: Path) -> Recipe:
        """The same with a classifier's folder of pseudo-anomalies at another place."""
        expert = self.classifier()
        moved = expert.model_copy(update={"outliers": expert.outliers.model_copy(update={"folder": folder})})
        return self.model_copy(update={"experts": [moved]})

    def network(self) -> AnyNetwork:
        """The first expert that is a network.

        Raises:
            ConfigError: There is none.
        """
        for expert in self.experts:
            if isinstance(expert, NetworkExpert):
                return expert
        raise ConfigError(f"recipe {self.name} has no network", "Add an expert such as `kind: autoencoder`.")


def recipe_names() -> list[str]:
    """Names of the packaged recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml") if not _names_recipes(path))


def load_recipe(name_or_path: str | Path) -> Recipe:
    """A packaged recipe by its name, or one from a file (anything with a suffix or a folder in it).

    Raises:
        ConfigError: No recipe has this name.
        ConfigFileError: The file cannot be read or is wrong; with every mistake, its line and the nearest valid name.
    """
    path = Path(name_or_path)
    if path.suffix or len(path.parts) > 1:
        return load_settings(path, Recipe, unreadable="Name a recipe's file.", empty="Begin with `name: …`.")
    names = recipe_names()
    if path.name not in names:
        near = difflib.get_close_matches(path.name, names, n=1)
        remedy = f"Did you mean '{near[0]}'? " if near else ""
        raise ConfigError(
            f"no recipe is called '{name_or_path}'", f"{remedy}There are {', '.join(names)}, or give a file's path."
        )
    return load_settings(FOLDER / f"{path.name}.yaml", Recipe)


class TableRecipes(Settings):
    """A file that names recipes to compare, such as recipes/table.yaml and recipes/ablations.yaml.

    Attributes:
        recipes: Names of packaged recipes, or files; paths are taken from this file's folder.
    """

    recipes: list[str] = Field(min_length=1)


def load_recipes(named: Sequence[str | Path]) -> list[Recipe]:
    """The recipes that are named, or those of the packaged table where none is.

    Args:
        named: Names of packaged recipes or lists of them, files, or files with `recipes: […]`; several with commas
            between them.

    Raises:
        ConfigError: No recipe has this name.
        ConfigFileError: A file cannot be read or is wrong.
    """
    found: list[Recipe] = []
    for name in [part.strip() for text in named or [TABLE] for part in str(text).split(",")]:
        path = Path(name)
        if (FOLDER / f"{name}.yaml").is_file() and name not in recipe_names():
            path = FOLDER / f"{name}.yaml"
        if path.suffix and path.is_file() and _names_recipes(path):
            listed = load_settings(path, TableRecipes).recipes
            found += [load_recipe(n if n in recipe_names() else path.parent / n) for n in listed]
        else:
            found.append(load_recipe(name))
    return found


def _names_recipes(path: Path) -> bool:
    return any(line.startswith("recipes:") for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
