"""The official baselines of DCASE 2021 Task 2."""
