"""Doctor: checks the box from end to end and names each problem with its remedy. One file per subject."""
