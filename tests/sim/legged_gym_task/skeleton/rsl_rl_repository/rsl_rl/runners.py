"""The runner: its calls of the environment in v1.0.2's order, around an actor that stays as it began."""

from pathlib import Path
from types import SimpleNamespace

import torch


class OnPolicyRunner:
    def __init__(self, env, train_cfg, log_dir, device):
        self.env, self.cfg, self.log_dir, self.device = env, train_cfg["runner"], log_dir, device
        self.critic_width = env.num_obs if env.num_privileged_obs is None else env.num_privileged_obs
        actor = torch.nn.Sequential(torch.nn.Linear(env.num_obs, env.num_actions)).to(device)
        actor_critic = torch.nn.Module()
        actor_critic.actor = actor
        self.alg = SimpleNamespace(actor_critic=actor_critic)
        _, _ = env.reset()

    def learn(self, num_learning_iterations, init_at_random_ep_len):
        env = self.env
        if init_at_random_ep_len:
            env.episode_length_buf = torch.randint_like(env.episode_length_buf, high=int(env.max_episode_length))
        observation, critic = env.get_observations().to(self.device), env.get_privileged_observations().to(self.device)
        for iteration in range(num_learning_iterations):
            episodes = []
            for _ in range(self.cfg["num_steps_per_env"]):
                assert critic.shape == (env.num_envs, self.critic_width)
                with torch.inference_mode():
                    actions = self.alg.actor_critic.actor(observation)
                    observation, critic, rewards, dones, infos = env.step(actions)
                observation, critic = observation.to(self.device), critic.to(self.device)
                assert rewards.shape == dones.shape == infos["time_outs"].shape == (env.num_envs,)
                if "episode" in infos:
                    episodes.append(infos["episode"])
            for name in episodes[0]:
                mean = torch.stack([torch.as_tensor(episode[name]).float() for episode in episodes]).mean()
                print(f"iteration {iteration}: mean episode {name}: {mean:.4f}")
        self.save(Path(self.log_dir) / f"model_{num_learning_iterations}.pt")

    def save(self, path):
        path.parent.mkdir(parents=True)
        torch.save(self.alg.actor_critic.state_dict(), path)

    def load(self, path):
        self.alg.actor_critic.load_state_dict(torch.load(path, map_location=self.device, weights_only=True))

    def get_inference_policy(self, device):
        return self.alg.actor_critic.to(device).actor
