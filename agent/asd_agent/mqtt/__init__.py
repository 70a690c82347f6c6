"""MQTT: connection, delivery from the outbox, topics, payloads, commands."""
