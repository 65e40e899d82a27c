"""Run work that may crash in child processes, which import plugin classes by name."""
