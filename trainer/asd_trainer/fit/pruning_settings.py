"""How far an ensemble is pruned."""

from __future__ import annotations

from pydantic import Field, model_validator

from asd_trainer.families.settings_parts import Part


class Prune(Part):
    """Which of a recipe's members are kept; the order in which they are is `asd_trainer.fit.pruning_order`'s.

    Attributes:
        members: So many.
        agreement: As few as agree with all of them so well, 1 being the same order of all normal clips.
    """

    members: int | None = Field(default=None, ge=1)
    agreement: float | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _one(self) -> Prune:
        if (self.members is None) == (self.agreement is None):
            raise ValueError("give `members:` or `agreement:`, and not both")
        return self
