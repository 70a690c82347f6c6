"""Messages to people through Apprise: read from the outbox, sent by a process of its own for each target."""
