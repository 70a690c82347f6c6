"""Sound: files, devices, the capture child, sources, rings and signal quality."""
