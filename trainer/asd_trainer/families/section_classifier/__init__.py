"""Official MobileNetV2 of DCASE 2021 Task 2: a classifier of sections."""
