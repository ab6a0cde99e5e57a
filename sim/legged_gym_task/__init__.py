"""The velocity task as a task of legged_gym: its registry, its constructor, its five-tuple step, rsl_rl v1.0.2.

Runs on the Python 3.8 that Isaac Gym needs: what is imported here may use no newer Python, neither MuJoCo nor rsl_rl's
newer releases. docs/isaac_gym.md says how to install and start it.
"""
