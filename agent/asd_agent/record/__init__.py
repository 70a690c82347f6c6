"""Sound taken down on the box: from a microphone of its own, or from the ears of the running service."""
