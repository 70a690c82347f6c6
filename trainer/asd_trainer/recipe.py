"""Recipes: which experts are trained, on what features, and how scores and thresholds follow.

A recipe is a YAML file; the packaged ones are known by name. Defaults are the paper's numbers (section 4.1) where it
gives them.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from asd_agent.bundle.manifest import Combination, FramePooling
from asd_agent.calibrate import DensitySettings
from asd_agent.config_file import load_settings
from asd_agent.errors import ConfigError
from asd_agent.features import FeatureSpec

FOLDER = Path(__file__).parent / "recipes"
TABLE = FOLDER / "table.yaml"
"""The recipes that a table compares; no recipe itself."""


class Part(BaseModel):
    """A part of a recipe: fixed once read, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ConformerSettings(Part):
    """The network of Gulati et al. 2020.

    Attributes:
        blocks: Conformer blocks.
        units: Width of the sequence between blocks.
        heads: Attention heads; they divide the units.
        kernel: Frames that the depthwise convolution sees; odd.
        feedforward: Width inside the feed-forward modules.
        dropout: Inside the blocks, while training.
    """

    blocks: int = Field(default=4, ge=1)
    units: int = Field(default=256, ge=2, multiple_of=2)
    heads: int = Field(default=4, ge=1)
    kernel: int = Field(default=7, ge=1)
    feedforward: int = Field(default=1024, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _possible(self) -> ConformerSettings:
        if self.units % self.heads:
            raise ValueError(f"{self.heads} heads do not divide {self.units} units")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel is {self.kernel}; it must be odd")
        return self


class MaskSettings(Part):
    """SpecAugment (Park et al. 2019) and input dropout, in training and at inference.

    Attributes:
        time_masks: Masks along time.
        time_width: Narrowest and widest, in frames.
        freq_masks: Masks along frequency.
        freq_width: Narrowest and widest, in mel bands.
        input_dropout: Share of the single cells hidden.
    """

    time_masks: int = Field(default=50, ge=0)
    time_width: tuple[int, int] = (1, 5)
    freq_masks: int = Field(default=5, ge=0)
    freq_width: tuple[int, int] = (0, 10)
    input_dropout: float = Field(default=0.2, ge=0, lt=1)

    @model_validator(mode="after")
    def _possible(self) -> MaskSettings:
        for low, high in (self.time_width, self.freq_width):
            if not 0 <= low <= high:
                raise ValueError(f"a width goes from {low} to {high}; give [narrowest, widest]")
        return self


class TrainingSettings(Part):
    """Adam with a warm-up schedule.

    Attributes:
        steps: Batches in all.
        batch: Clips a batch.
        warmup_steps: Steps until the learning rate is at its peak.
        learning_rate: That peak; see `asd_trainer.training.schedule`.
        clip_norm: Longest gradient; longer ones are scaled down.
        precision: `bfloat16` is used on CUDA alone; a CPU computes in float32.
    """

    steps: int = Field(default=50_000, ge=1)
    batch: int = Field(default=64, ge=1)
    warmup_steps: int = Field(default=8_000, ge=1)
    learning_rate: float = Field(default=7e-4, gt=0)
    clip_norm: float = Field(default=5.0, gt=0)
    precision: Literal["float32", "bfloat16"] = "float32"


class Replicas(Part):
    """Test-time replicas of a window, each with its own masks from the bundle's fixed bank.

    Attributes:
        count: Replicas.
        pooling: How their errors become one.
    """

    count: int = Field(default=8, ge=1)
    pooling: Literal["mean", "max"] = "mean"


class Expert(Part):
    """What every family of members has.

    Attributes:
        features: Its own front end, where it is not the recipe's.
        density: Scorer of its observations.
        frame_pooling: From frame scores to one.
        combination: Of its members.
    """

    features: FeatureSpec | None = None
    density: DensitySettings = DensitySettings()
    frame_pooling: FramePooling = FramePooling()
    combination: Combination = Combination()


class AutoencoderExpert(Expert):
    """Conformer autoencoders, one network a machine (sections 2.1 and 3.1 of the paper).

    Attributes:
        members: Networks, each from a seed of its own.
        id_regression: Whether the section's value goes in with each frame and is regressed with it.
    """

    kind: Literal["autoencoder"] = "autoencoder"
    members: int = Field(default=1, ge=1)
    id_regression: bool = True
    network: ConformerSettings = ConformerSettings()
    masks: MaskSettings = MaskSettings()
    training: TrainingSettings = TrainingSettings()
    replicas: Replicas = Replicas()


class PlainExpert(Expert):
    """Detectors without a network: quantities of a window and one shrunk Gaussian of what is usual.

    Attributes:
        kind: `level` hears loudness alone, `mel_statistics` mean and spread of each mel band over time, `indicators`
            the classical quantities of condition monitoring.
    """

    kind: Literal["level", "mel_statistics", "indicators"]
    density: DensitySettings = DensitySettings(density="mahalanobis")


AnyExpert = Annotated[AutoencoderExpert | PlainExpert, Field(discriminator="kind")]


class HeldOut(Part):
    """Normal clips that no network has seen, for scorers and thresholds.

    Attributes:
        fraction: Share held out where there are clips enough.
        folds: Folds by recording where there are not.
    """

    fraction: float = Field(default=0.1, gt=0, lt=1)
    folds: int = Field(default=5, ge=2)


class Thresholds(Part):
    """See `asd_agent.thresholds`.

    Attributes:
        method: From held-out scores to the level.
        false_alarms_per_day: Wanted, after k-of-n.
    """

    method: Literal["quantile", "gamma", "tail"] = "quantile"
    false_alarms_per_day: float = Field(default=0.1, gt=0)


class Recipe(Part):
    """Everything that decides a training besides the data and the seed.

    Attributes:
        features: Front end of every expert that names none.
        combination: Of the experts.
        checkpoint_every: Steps between checkpoints.
        device: `auto` takes CUDA where there is one.
        deterministic: Bit-equal repeats on one device, at some cost in speed on CUDA.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    features: FeatureSpec = FeatureSpec()
    experts: list[AnyExpert] = Field(min_length=1)
    combination: Combination = Combination()
    held_out: HeldOut = HeldOut()
    thresholds: Thresholds = Thresholds()
    checkpoint_every: int = Field(default=500, ge=1)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    deterministic: bool = True

    def features_of(self, expert: Expert) -> FeatureSpec:
        """The front end of an expert."""
        return expert.features or self.features

    def autoencoder(self) -> AutoencoderExpert:
        """The first autoencoder expert.

        Raises:
            ConfigError: There is none.
        """
        for expert in self.experts:
            if isinstance(expert, AutoencoderExpert):
                return expert
        raise ConfigError(f"recipe {self.name} has no autoencoder", "Add an expert with `kind: autoencoder`.")


def recipe_names() -> list[str]:
    """Names of the packaged recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml") if path != TABLE)


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


class TableRecipes(Part):
    """A file that names recipes to compare, such as recipes/table.yaml.

    Attributes:
        recipes: Names of packaged recipes, or files; paths are taken from this file's folder.
    """

    recipes: list[str] = Field(min_length=1)


def load_recipes(named: Sequence[str | Path]) -> list[Recipe]:
    """The recipes that are named, or those of the packaged table where none is.

    Args:
        named: Names of packaged recipes, files, or files with `recipes: […]`; several with commas between them.

    Raises:
        ConfigError: No recipe has this name.
        ConfigFileError: A file cannot be read or is wrong.
    """
    found: list[Recipe] = []
    for name in [part.strip() for text in named or [TABLE] for part in str(text).split(",")]:
        path = Path(name)
        if path.suffix and path.is_file() and _names_recipes(path):
            listed = load_settings(path, TableRecipes).recipes
            found += [load_recipe(n if n in recipe_names() else path.parent / n) for n in listed]
        else:
            found.append(load_recipe(name))
    return found


def _names_recipes(path: Path) -> bool:
    return any(line.startswith("recipes:") for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
