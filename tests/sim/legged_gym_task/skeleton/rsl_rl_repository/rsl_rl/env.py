"""What v1.0.2 demands of an environment."""

from abc import ABC, abstractmethod


class VecEnv(ABC):
    @abstractmethod
    def step(self, actions): ...

    @abstractmethod
    def reset(self): ...

    @abstractmethod
    def get_observations(self): ...

    @abstractmethod
    def get_privileged_observations(self): ...
