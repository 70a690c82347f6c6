"""Settings of augmentation: masks of spectrograms, noise and mixing of sounds."""

from __future__ import annotations

from pydantic import Field, model_validator

from asd_trainer.settings import Settings


class MaskSettings(Settings):
    """SpecAugment (Park et al. 2019) and input dropout, in training and at inference.

    Attributes:
        time_masks: Number of masks along time.
        time_width: Narrowest and widest of them, in frames.
        freq_masks: Number of masks along frequency.
        freq_width: Narrowest and widest of them, in mel bands.
        input_dropout: Share of the single cells that are hidden.
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


class SoundAugmentation(Settings):
    """Augmentation of sounds while a network learns (section 3.2 of the paper).

    Attributes:
        noise: Share of the items that get Gaussian noise.
        snr_db: Lowest and highest ratio of sound to noise.
        volume: Share of the items that become louder or softer.
        volume_db: Largest change of their level.
        mixup: α of the Beta(α, α) by which items and their labels are mixed with others in the tuning to the target; 0
            mixes none.
    """

    noise: float = Field(default=0.0, ge=0, le=1)
    snr_db: tuple[float, float] = (5.0, 20.0)
    volume: float = Field(default=0.0, ge=0, le=1)
    volume_db: float = Field(default=10.0, ge=0)
    mixup: float = Field(default=0.2, ge=0)

    @model_validator(mode="after")
    def _possible(self) -> SoundAugmentation:
        if not self.snr_db[0] <= self.snr_db[1]:
            raise ValueError(f"snr_db goes from {self.snr_db[0]} to {self.snr_db[1]}; give [lowest, highest]")
        return self
