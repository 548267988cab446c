"""What is wrong with a task is said before anything is trained on it."""

import pytest

from dpg.envs.examine import examine
from dpg.envs.make import EnvError

MODULE = ["tests.tasks"]


@pytest.mark.parametrize(
    "env_id", ["tests/Base-v0", "Base", "Base.of-Tests-v1", "3Base-v0", "EndsByItself-v0", "Hopper-v4", "Ant-v5"]
)
def test_a_task_that_keeps_the_api_is_taken(env_id):
    examine(env_id, MODULE)


@pytest.mark.parametrize(
    ("env_id", "said"),
    [
        ("Hopper-v2", "Hopper-v2 cannot be made: ImportError: .* v3 based .*Hopper-v4 can be made"),
        ("Hopper-v9", "Hopper-v9 cannot be made: .*Hopper-v5 can be made"),
        ("Hopper", "Hopper cannot be made: .*Hopper-v5 can be made"),
        ("Hoper-v4", "Hoper-v4 cannot be made: .*Did you mean: `Hopper`.*Hopper-v4 can be made"),
        ("CartPole-v1", "CartPole-v1: the action space must be a Box of one axis, not Discrete"),
        ("FrozenLake-v1", "FrozenLake-v1: the observation space must be a Box of one axis, not Discrete"),
        ("no_such_package:Task-v0", "no_such_package:Task-v0 cannot be made"),
        ("UnheardOf-v0", "UnheardOf-v0 cannot be made: .*its module in `modules`"),
        ("NeedsHardware-v0", "cannot be made: OSError: no robot is connected .NeedsHardware-v3 can be made.$"),
        ("FourValues-v0", r"five values .*; it returned 4 values, as Gym's did before 0\.26$"),
        ("OldReset-v0", "reset raised TypeError: .*'seed'.*must take seed and options by name"),
        ("NoInfoFromReset-v0", r"reset must return two values .*; it returned ndarray of shape \(3,\)"),
        ("OtherShape-v0", r"has the shape \(4,\); its space has \(3,\)"),
        ("OtherType-v0", "is float64; its space is uint8"),
        ("RewardArray-v0", r"the reward of a step must be a number, not ndarray of shape \(1,\)"),
        ("IntegerEnd-v0", "terminated must be a boolean, not int"),
        ("NanFromTheStart-v0", "the obs of a reset at step 0 is not finite"),
        ("StepRaises-v0", "step raised KeyError: 'joint_7'"),
        ("Endless-v0", "no episode has ended in 10,000 random steps; .*max_episode_steps"),
    ],
)
def test_what_is_wrong_with_a_task_is_one_line(env_id, said):
    with pytest.raises(EnvError, match=said) as caught:
        examine(env_id, MODULE)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(env_id)
