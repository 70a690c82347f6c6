"""The service: its loop, its parts and their life."""
