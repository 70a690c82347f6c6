"""Everything that goes wrong on a box, provoked: each symptom by its name in docs/troubleshooting.md."""
