"""The demo: the very same pipeline on shipped sound, with a broker of its own and a live screen."""
