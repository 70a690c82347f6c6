"""Recipes: their settings, and the packaged YAML files."""
