"""The service: its parts, their loader and the loop that runs them."""
