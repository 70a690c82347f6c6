"""Training loops that a kill at any moment does not change the result of."""

from asd_trainer.training.autoencoder import load_autoencoder, train_autoencoder

__all__ = ["load_autoencoder", "train_autoencoder"]
