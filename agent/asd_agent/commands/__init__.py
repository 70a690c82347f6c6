"""The commands of asd-agent, one module each; `asd_agent.cli` puts them together."""
