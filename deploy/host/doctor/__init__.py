"""The doctor: listens to a robot for a few seconds and names what is wrong with it, and what to do."""
