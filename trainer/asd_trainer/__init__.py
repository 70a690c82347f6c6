"""The trainer: learns what a healthy machine sounds like and exports bundles for the agent."""
