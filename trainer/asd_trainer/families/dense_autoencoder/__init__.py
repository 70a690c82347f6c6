"""Official autoencoder of DCASE 2021 Task 2: dense layers over a few frames."""
