"""Every stage of the learner, killed after any piece of its work and begun again, ends with the same bits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Optional

import pytest
import torch
from torch import Tensor, nn

from policy.trainer_state import TrainerState, load_trainer_state, save_trainer_state
from policy.uni_o4.cloning import CloningSettings, clone_behavior
from policy.uni_o4.critics import CriticSettings, fit_critics
from policy.uni_o4.dynamics import DynamicsSettings, fit_dynamics
from policy.uni_o4.evaluation import EvaluationSettings
from policy.uni_o4.keeping import NOTHING_KEPT, Keeper
from policy.uni_o4.offline import EnsembleSettings, improve_in_ensemble
from policy.uni_o4.ppo import PpoSettings
from policy.uni_o4.published import PublishedSettings, improve_published
from policy.uni_o4.settings import seeded_generator
from policy.uni_o4.value import RewardScale, ValueSettings, fit_value
from tests.policy.uni_o4.conftest import DISCOUNT, Study
from tests.policy.uni_o4.point_mass import linear_actor
from tests.policy.uni_o4.test_published import critics

torch.set_num_threads(1)
SHORT = EvaluationSettings(starts=30, horizon=3, resamples=100, discount=DISCOUNT)


class Killed(BaseException):
    """Stands for a kill: nothing in the code under test may catch it."""


class FileKeeper:
    """Keeps every piece in a file, and is killed behind one of them."""

    def __init__(self, path: Path, generator: torch.Generator, killed_after: Optional[int] = None) -> None:
        self._path, self._generator, self._killed_after = path, generator, killed_after
        self.finished: list[bool] = []

    def kept(self) -> Optional[TrainerState]:
        if not self._path.exists():
            return None
        state = load_trainer_state(self._path)
        self._generator.set_state(state.tensors["luck"])
        return state

    def keep(self, state: Callable[[], TrainerState], finished: bool = False) -> None:
        made = state()
        tensors = {**made.tensors, "luck": self._generator.get_state()}
        save_trainer_state(self._path, TrainerState(tensors, made.record))
        self.finished.append(finished)
        if len(self.finished) == self._killed_after:
            raise Killed


Stage = Callable[[Study, torch.Generator, Keeper], Any]


def cloning(study: Study, luck: torch.Generator, keeper: Keeper) -> Any:
    settings = CloningSettings(members=2, hidden_dims=(8,), epochs=6, batch_size=512)
    return clone_behavior(study.transitions, settings, luck, keeper=keeper)


def impatient_cloning(study: Study, luck: torch.Generator, keeper: Keeper) -> Any:
    """Ends because nothing gets better: the best epoch lies behind some of the kills."""
    settings = CloningSettings(members=2, hidden_dims=(8,), epochs=30, batch_size=256, patience=2, learning_rate=0.1)
    return clone_behavior(study.transitions, settings, luck, keeper=keeper)


def dynamics(study: Study, luck: torch.Generator, keeper: Keeper) -> Any:
    settings = DynamicsSettings(members=3, elites=2, hidden_dims=(8,), batch_size=256, epochs=5)
    return fit_dynamics(study.transitions, settings, luck, keeper=keeper)


def impatient_dynamics(study: Study, luck: torch.Generator, keeper: Keeper) -> Any:
    settings = DynamicsSettings(
        members=3, elites=2, hidden_dims=(8,), batch_size=256, epochs=40, patience=1, learning_rate=0.1
    )
    return fit_dynamics(study.transitions, settings, luck, keeper=keeper)


def value(study: Study, luck: torch.Generator, keeper: Keeper) -> Any:
    settings = ValueSettings((8,), DISCOUNT, rounds=5, batch_size=256)
    return fit_value(study.transitions, study.scale, settings, luck, keeper=keeper)


def iql(study: Study, luck: torch.Generator, keeper: Keeper) -> Any:
    settings = CriticSettings(updates=6, batch_size=64, action_value_dims=(8,), value_dims=(8,))
    return fit_critics(study.transitions, RewardScale(1.0), settings, luck, keeper=keeper)


def ensemble(study: Study, luck: torch.Generator, keeper: Keeper) -> Any:
    ppo = PpoSettings(discount=DISCOUNT, epochs=2, minibatch_size=256, actor_learning_rate=1e-2)
    settings = EnsembleSettings(4, branches=64, horizon=4, kl_budget=5.0, budget_states=64, ppo=ppo, evaluation=SHORT)
    start = study.behavior, study.value, study.world, study.transitions, study.scale
    return improve_in_ensemble(*start, settings, luck, keeper=keeper)


def continued_ensemble(study: Study, luck: torch.Generator, keeper: Keeper) -> Any:
    """With everything that a round hands on to the next: branches, the actor's rate, the average."""
    ppo = PpoSettings(discount=DISCOUNT, epochs=2, minibatch_size=256, actor_learning_rate=1e-3, desired_kl=0.05)
    settings = EnsembleSettings(
        5, branches=64, horizon=4, continuations=2, beginnings=0.3, averaging=0.7, kl_budget=5.0, budget_states=64,
        ppo=ppo, evaluation=SHORT,
    )  # fmt: skip
    start = study.behavior, study.value, study.world, study.transitions, study.scale
    return improve_in_ensemble(*start, settings, luck, keeper=keeper)


def exhausted_ensemble(study: Study, luck: torch.Generator, keeper: Keeper) -> Any:
    """Ends because the budget of KL does: its optimiser goes back by a step."""
    ppo = PpoSettings(discount=DISCOUNT, epochs=2, minibatch_size=64, actor_learning_rate=1e-2)
    settings = EnsembleSettings(9, branches=64, horizon=4, kl_budget=0.1, budget_states=64, ppo=ppo, evaluation=SHORT)
    start = study.behavior, study.value, study.world, study.transitions, study.scale
    return improve_in_ensemble(*start, settings, luck, keeper=keeper)


def published(study: Study, luck: torch.Generator, keeper: Keeper) -> Any:
    """Two members; a look at AM-Q after every third update, and behind the last."""
    settings = PublishedSettings(updates=7, gate_interval=3, batch_size=32, budget_states=64, evaluation=SHORT)
    members = [linear_actor(-0.3, -0.3, 0.5), linear_actor(-0.5, -0.2, 0.5)]
    judges = critics()
    return improve_published(members, judges, study.world, study.transitions, settings, luck, keeper=keeper)


STAGES: tuple[Stage, ...] = (
    cloning, impatient_cloning, dynamics, impatient_dynamics, value, iql,
    ensemble, continued_ensemble, exhausted_ensemble, published,
)  # fmt: skip


def everything_in(result: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every tensor and every figure of a result, under its place in it."""
    if isinstance(result, nn.Module):
        result = result.state_dict()
    if isinstance(result, Mapping):
        parts = list(result.items())
    elif isinstance(result, (tuple, list)):
        parts = list(enumerate(result))
    elif dataclasses.is_dataclass(result):
        parts = [(field.name, getattr(result, field.name)) for field in dataclasses.fields(result)]
    else:
        yield name, result
        return
    for key, part in parts:
        yield from everything_in(part, f"{name}.{key}")


def assert_same(first: Any, second: Any) -> None:
    ones, others = dict(everything_in(first)), dict(everything_in(second))
    assert ones.keys() == others.keys() and len(ones) > 3
    for name, one in ones.items():
        other = others[name]
        assert torch.equal(one, other) if isinstance(one, Tensor) else one == other, name


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_was_killed_after_any_piece_ends_as_if_undisturbed(stage: Stage, study: Study, tmp_path: Path):
    luck = seeded_generator(5)
    undisturbed = stage(study, luck, NOTHING_KEPT)
    counting = FileKeeper(tmp_path / "whole", generator := seeded_generator(5))
    assert_same(stage(study, generator, counting), undisturbed)
    assert counting.finished == [False] * (len(counting.finished) - 1) + [True]
    assert len(counting.finished) > 3
    pieces = len(counting.finished)
    for killed_after in sorted({1, 2, pieces // 2, pieces - 1, pieces}):
        kept = tmp_path / f"killed_after_{killed_after}"
        before = seeded_generator(5)
        with pytest.raises(Killed):
            stage(study, before, FileKeeper(kept, before, killed_after))
        after = seeded_generator(5)
        assert_same(stage(study, after, FileKeeper(kept, after)), undisturbed)
        assert torch.equal(after.get_state(), luck.get_state()), "the stage behind it draws the same"


def test_the_courses_that_should_end_early_do(study: Study):
    def counted(stage: Stage) -> int:
        seen: list[int] = []

        class Counting:
            def kept(self) -> None:
                return None

            def keep(self, state: Any, finished: bool = False) -> None:
                seen.append(1)

        stage(study, seeded_generator(5), Counting())
        return len(seen)

    assert 3 < counted(impatient_cloning) < 30
    assert 3 < counted(impatient_dynamics) < 40
    assert 3 < counted(exhausted_ensemble) < 9


def test_what_a_stage_gives_back_does_not_change_with_what_is_trained_behind_it(study: Study, tmp_path: Path):
    """A candidate that came back from its file is a network of its own."""
    luck = seeded_generator(5)
    with pytest.raises(Killed):
        ensemble(study, luck, FileKeeper(tmp_path / "kept", luck, 3))
    again = seeded_generator(5)
    found = ensemble(study, again, FileKeeper(tmp_path / "kept", again))
    actors = [candidate.actor for candidate in found.candidates]
    pointers = {parameter.data_ptr() for actor in actors for parameter in actor.parameters()}
    assert len(pointers) == sum(len(list(actor.parameters())) for actor in actors)
