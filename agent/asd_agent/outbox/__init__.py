"""The outbox: alerts and alarm states in SQLite until the broker has accepted them."""
