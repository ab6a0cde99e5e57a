"""Means of rewards over episodes, and the states of one robot; the plots are left out."""

from collections import defaultdict


class Logger:
    def __init__(self, dt):
        self.dt, self.num_episodes = dt, 0
        self.state_log, self.rew_log = defaultdict(list), defaultdict(list)

    def log_states(self, states):
        for name, value in states.items():
            self.state_log[name].append(value)

    def log_rewards(self, episode, num_episodes):
        for name, value in episode.items():
            if "rew" in name:
                self.rew_log[name].append(value.item() * num_episodes)
        self.num_episodes += num_episodes

    def plot_states(self):
        print(f"{len(self.state_log)} states of {len(self.state_log['dof_pos'])} steps")

    def print_rewards(self):
        for name, values in self.rew_log.items():
            print(f" - {name}: {sum(values) / self.num_episodes}")
        print(f"Total number of episodes: {self.num_episodes}")
