"""The files of an agent are found where RL Zoo, the hub and a callback leave them."""

import zipfile
from pathlib import Path

import pytest

from dpg.importing.errors import AgentImportError, UnsafeFileError
from dpg.importing.folder import find


def lay_out(folder: Path, *names: str) -> Path:
    """Empty files; a .zip is a model by the names of its members."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        if path.suffix == ".zip" and "train_eval_metrics" not in name:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("data", "{}")
                archive.writestr("policy.pth", "")
    return folder


def found(path: Path) -> tuple[str, str | None]:
    files = find(path)
    return files.model.name, str(files.normalizer.relative_to(path.parent)) if files.normalizer else None


@pytest.mark.parametrize(
    ("names", "model", "normalizer"),
    [
        (
            ("Hopper-v3.zip", "best_model.zip", "Hopper-v3/vecnormalize.pkl"),
            "Hopper-v3.zip",
            "a/Hopper-v3/vecnormalize.pkl",
        ),
        (
            ("ppo-Hopper-v3.zip", "vec_normalize.pkl", "train_eval_metrics.zip"),
            "ppo-Hopper-v3.zip",
            "a/vec_normalize.pkl",
        ),
        (("best_model.zip", "Hopper-v3/vecnormalize.pkl"), "best_model.zip", "a/Hopper-v3/vecnormalize.pkl"),
        (
            tuple(f"rl_model_{steps}_steps.zip" for steps in (999, 1000, 20))
            + tuple(f"rl_model_vecnormalize_{steps}_steps.pkl" for steps in (999, 1000, 20)),
            "rl_model_1000_steps.zip",
            "a/rl_model_vecnormalize_1000_steps.pkl",
        ),
        (("model.zip", "rl_model_9_steps.zip"), "model.zip", None),
        (("ppo.cleanrl_model",), "ppo.cleanrl_model", None),
        (("agent.safetensors", "agent.json"), "agent.safetensors", None),
        (("Hopper-v3.zip", "Hopper-v3.safetensors"), "Hopper-v3.zip", None),
    ],
    ids=["zoo", "hub", "best", "checkpoints", "final and checkpoint", "cleanrl", "exchange", "with its snapshot"],
)
def test_of_a_folder_the_model_that_training_ended_with(tmp_path, names, model, normalizer):
    assert found(lay_out(tmp_path / "a", *names)) == (model, normalizer)


def test_a_checkpoint_that_is_named_is_taken_with_its_own_normaliser(tmp_path):
    lay_out(tmp_path, "rl_model_9_steps.zip", "rl_model_vecnormalize_9_steps.pkl", "rl_model_20_steps.zip")
    files = find(tmp_path / "rl_model_9_steps.zip")
    assert files.normalizer == tmp_path / "rl_model_vecnormalize_9_steps.pkl"


def test_rl_zoos_yaml_is_read_as_data(tmp_path):
    """Its ordered dictionaries name a Python class, and tuples another."""
    lay_out(tmp_path, "Hopper-v3.zip")
    (tmp_path / "Hopper-v3").mkdir()
    tag = "!!python/object/apply:collections.OrderedDict"
    text = f"{tag}\n- - - env\n    - Hopper-v3\n  - - sizes\n    - !!python/tuple\n      - 1\n      - 2\n"
    (tmp_path / "Hopper-v3" / "args.yml").write_text(text, encoding="utf-8")
    assert find(tmp_path).arguments == {"env": "Hopper-v3", "sizes": [1, 2]}


@pytest.mark.parametrize("tag", ["!!python/name:os.system", "!!python/object:os.Evil", "!!python/module:os"])
def test_any_other_python_tag_is_refused_by_name(tmp_path, tag):
    lay_out(tmp_path, "model.zip")
    (tmp_path / "args.yml").write_text(f"env: {tag} x\n", encoding="utf-8")
    with pytest.raises(UnsafeFileError, match="names os"):
        find(tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a.zip", "b.zip"), "holds a.zip, b.zip; name one of them"),
        (("a.zip", "b.zip", "c.zip", "d.zip"), "holds a.zip, b.zip, c.zip and 1 more; name one of them"),
        (("train_eval_metrics.zip",), "holds no agent; .*train_eval_metrics.zip is not whole, or something else"),
        ((), "holds no agent"),
    ],
)
def test_a_folder_with_several_models_or_none_is_refused(tmp_path, names, message):
    (tmp_path / "a").mkdir()
    with pytest.raises(AgentImportError, match=message):
        find(lay_out(tmp_path / "a", *names))
