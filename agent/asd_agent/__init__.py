"""Edge agent: scores a machine's sound and publishes alarms over MQTT."""

__version__ = "0.1.0"
