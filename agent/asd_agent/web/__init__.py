"""Web page of the agent: its own process, which talks to the service through `web.sock` alone."""
