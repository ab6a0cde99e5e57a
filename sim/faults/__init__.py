"""The fault matrix: what can break, what has to happen then, and what does happen on the twin."""
