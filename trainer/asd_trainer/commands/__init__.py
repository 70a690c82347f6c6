"""The commands of asd-trainer, one module each; `asd_trainer.cli` puts them together."""
