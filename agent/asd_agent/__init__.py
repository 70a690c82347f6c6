"""The edge agent: listens to a machine, scores what it hears and says so over MQTT."""

__version__ = "0.1.0"
