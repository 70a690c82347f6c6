"""How the agent fares: what it publishes about itself."""
