"""History: scores and levels over time, alarms with the actions and verdicts of people, replay and drift.

The service writes `history.sqlite3` from one thread; everything else reads it. Nothing that decides an alarm depends on
it: a damaged or full history costs the past, never an alarm.
"""

FILE_NAME = "history.sqlite3"
"""Name of the database in the state folder."""
