"""The interface of a family: one kind of detector with its settings, training, members and scoring.

The planner asks a family for the members to train and makes a job of each. A job trains one member into a folder. The
fit of a bundle asks the family for an `ExpertPlan` of the trained members. Nothing outside `families/` knows which
families there are; `asd_trainer.families.registry` documents how to add one.

Example: a family whose members come from a machine's log-mels is a subclass of
`asd_trainer.families.machine_family.MachineFamily`, which leaves settings and `train` to write.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, get_args

from asd_agent.errors import UsageError
from asd_agent.features.log_mel import FeatureSpec
from asd_trainer.data.cache import Cache
from asd_trainer.data.split import DataSplit
from asd_trainer.engine.progress import StepProgress
from asd_trainer.families.expert_plan import ExpertPlan
from asd_trainer.families.settings import Execution, Expert

if TYPE_CHECKING:
    from asd_trainer.engine.onnx_export import Exportable

E = TypeVar("E", bound=Expert)
Clips = Literal["source", "machine", "data_set"]
"""Normal training clips that decide a member: of the machine's source domain, of the machine, or of all machines."""
GRAPH = "model.onnx"
"""File of a member's graph in its job's folder."""
HIDDEN_STAGE = "without-"
"""Prefix of the folder, in a job's folder, that holds a training which only judges left-out clips: the report
does not draw it."""
ROTATING = ("average", "median", "ranking")
"""Combinations whose reference scores may come from those members alone that have not learnt a clip: of fewer members
they spread wider, which makes thresholds careful. The maximum of fewer would be too small."""
_SEEDS_A_RUN = 1000
_SEEDS_AN_EXPERT = 100


@dataclass(frozen=True)
class NamedExpert(Generic[E]):
    """An expert of a recipe under a name of its own.

    Attributes:
        name: Its kind, with a number from the second of a kind on.
        nth: Number of experts of its kind before it.
        expert: Its settings.
        prefix: Prefix of its members' ids; empty for an expert with a single member that is called as itself.
    """

    name: str
    nth: int
    expert: E
    prefix: str

    def member_id(self, number: int) -> str:
        """Return the id of a member: `ae-0`, and `ae2-0` in the second autoencoder expert."""
        return f"{self.prefix}{self.nth + 1 if self.nth else ''}-{number}" if self.prefix else self.name

    def place_id(self, number: int, section: str, domain: str = "") -> str:
        """Return the id of a member's part for one section, and for one domain of it: `bc-0-01-target`."""
        return "-".join(part for part in (self.member_id(number), section, domain) if part)

    def fold(self, number: int) -> int:
        """Return the fold of few clips that a member does not learn."""
        return number if self.expert.combination.method in ROTATING else 0

    def member_seed(self, seed: int, number: int) -> int:
        """Return the seed of a member's training in a run with this seed."""
        return seed * _SEEDS_A_RUN + self.nth * _SEEDS_AN_EXPERT + number


@dataclass(frozen=True)
class MemberRequest(Generic[E]):
    """One member that the planner asks a family for.

    Attributes:
        named: The expert.
        expert: Settings of the member.
        number: Number of the member.
        machine: Machine type.
        split: Clips and folds.
        run: Name of the run, for notes.
        digest_of_files: SHA-256 over the names and contents of files below a folder.
    """

    named: NamedExpert[E]
    expert: E
    number: int
    machine: str
    split: DataSplit
    run: Path
    digest_of_files: Callable[[Iterable[Path], Path], str]

    @property
    def fold(self) -> int:
        """The fold that the member does not learn."""
        return self.named.fold(self.number)


@dataclass(frozen=True)
class MemberJob(Generic[E]):
    """One training as plain values; the planner makes a job of it.

    Attributes:
        name: Id of the member, or of its part for a section.
        expert: Settings that decide the training.
        clips: Clips that decide it.
        size: For people and estimates: `clips`, and `steps` or `epochs`.
        arguments: Further values that decide it, in JSON's terms; `train` gets them.
        inputs: Further digests that decide it.
        paths: Places of files; they are passed but decide nothing.
        notes: Departures from the recipe that the data require, one sentence each.
    """

    name: str
    expert: E
    clips: Sequence[Clips]
    size: Mapping[str, int]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, Path] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class MemberTraining(Generic[E]):
    """One training as its job runs it.

    Attributes:
        expert: Settings of the member.
        execution: Device, repeatability and checkpoints.
        machine: Machine type; empty for a member of the whole data set.
        split: Clips and folds.
        fold: Fold that the member does not learn.
        seed: Seed of everything random.
        folder: Folder of this training alone; an interrupted attempt has left its files there.
        cache: Log-mels that other trainings have computed.
        progress: Called after each step.
        more: Arguments and paths of the `MemberJob`.
    """

    expert: E
    execution: Execution
    machine: str
    split: DataSplit
    fold: int
    seed: int
    folder: Path
    cache: Cache
    progress: StepProgress
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainedExpert(Generic[E]):
    """An expert whose jobs are done.

    Attributes:
        named: The expert.
        features: Front end of the recipe.
        machine: Machine type.
        split: Clips and folds.
        seed: Seed of the run.
        folders: Folders of its jobs, in the order of `Family.jobs`, member by member.
        chosen: Numbers of the members that are used in each domain; all where a domain is not in it.
    """

    named: NamedExpert[E]
    features: FeatureSpec
    machine: str
    split: DataSplit
    seed: int
    folders: Sequence[Path] = ()
    chosen: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def member_names(self) -> dict[str, list[str]]:
        """Return the ids of the chosen members, by domain."""
        return {domain: [self.named.member_id(n) for n in numbers] for domain, numbers in self.chosen.items()}


class Family(ABC, Generic[E]):
    """One kind of detector. Methods that only trained families need raise where they are not overridden.

    Attributes:
        settings: Settings of its experts; the values of their field `kind` are the kinds that recipes can name. Their
            defaults are the family's, the density among them.
        arithmetic: Raised when the same inputs give another member than before, so that members are trained again.
        prefix: Prefix of its members' ids; empty where an expert is its only member.
        whole_data_set: Whether a member is trained once for all machines of a data set.
        chosen_by: Whether labels choose among members for the machine as a whole, or section by section.
    """

    settings: type[E]
    arithmetic: int = 1
    prefix: str = ""
    whole_data_set: bool = False
    chosen_by: Literal["machine", "section"] = "machine"

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of experts that belong to this family."""
        return tuple(get_args(self.settings.model_fields["kind"].annotation))

    def describe(self, expert: E) -> str:
        """Return in a few words what a member of this expert is, for estimates."""
        return expert.kind

    def check(self, expert: E, machine: str, split: DataSplit) -> None:
        """Check that a machine's clips permit an expert, beyond what every expert needs.

        Raises:
            DataError: They do not.
        """

    def trainings_per_member(self, machine: str, split: DataSplit) -> int:  # noqa: ARG002
        """Return the number of trainings that `jobs` gives for a member."""
        return 0

    def jobs(self, request: MemberRequest[E]) -> Sequence[MemberJob[E]]:  # noqa: ARG002
        """Return the trainings of one member; none where nothing is trained.

        Raises:
            ConfigError: A file that the settings name is not there.
            DataError: The clips do not permit it.
        """
        return ()

    def train(self, training: MemberTraining[E]) -> dict[str, Any]:
        """Train one member and leave its files in the folder.

        Returns:
            What is worth knowing of the training, in JSON's terms.

        Raises:
            DataError: The clips do not permit it.
            DivergedError: The training diverged.
            ExportError: The exported graph computes something else.
        """
        raise UsageError(
            f"{training.folder}: a detector of kind {self.kinds[0]!r} has nothing to train",
            "Override `train` in a family whose `jobs` ask for training.",
        )

    @abstractmethod
    def plan(self, trained: TrainedExpert[E]) -> ExpertPlan:
        """Return an expert with its trained members, ready to infer."""

    def candidates(self, named: NamedExpert[E], number: int, section: str, domain: str) -> Sequence[str]:  # noqa: ARG002
        """Return the ids under which a member may judge a section and domain, the first that is there counts."""
        return (named.member_id(number),)

    def seconds_per_step(self, expert: E, execution: Execution) -> float | None:  # noqa: ARG002
        """Measure the seconds of one training step on this machine, on noise; None where there are no steps.

        See `asd_trainer.families.timing.measure_steps`.
        """
        return None

    def steps(self, expert: E, size: Mapping[str, int]) -> int:  # noqa: ARG002
        """Return the number of steps of a training, from the size of its job."""
        return size.get("steps", 0)

    def untrained_network(self, expert: E, samples: int) -> Exportable | None:  # noqa: ARG002
        """Return a network of a member's size with random weights, to compare speeds; None where there is none.

        Args:
            expert: Settings of the member.
            samples: Samples of a window.
        """
        return None
