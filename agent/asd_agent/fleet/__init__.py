"""All agents of one broker: their states, and the installation of bundles on many boxes one after the other."""
