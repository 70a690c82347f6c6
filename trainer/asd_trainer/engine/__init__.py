"""Training engine: loop, schedules, checkpoints, precision, export. It knows tensors and no clips."""
