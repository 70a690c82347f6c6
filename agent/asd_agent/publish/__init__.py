"""From events to people: topics and payloads, the outbox that survives a power cut, and the MQTT publisher."""
