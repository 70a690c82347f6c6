"""Demo: the same pipeline as in service on shipped sound, with a broker of its own and a live screen."""
