"""agent.yaml: its model, its reading and what `check` proves before anything starts."""
