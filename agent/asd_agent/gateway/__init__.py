"""Gateway: answers the web page's few verbs over `web.sock`, in a process of its own beside the service.

The service starts it where agent.yaml has a section `web`. It runs as the service's user, so that it may read history
and evidence, but in another process at a low priority: whatever the page asks for, scores are not delayed. States,
sound and operator actions come from the service through its control socket.
"""

ANSWER_SECONDS = 60.0
"""Longest time that a verb may take: a replay of two weeks takes a second, the doctor most of a minute."""
UPDATE_SECONDS = 1.0
"""Time between two looks at the service's states while anybody watches."""
HEARTBEAT_SECONDS = 10.0
"""Longest time between two lines of `updates`, so that a reader notices a dead peer."""
