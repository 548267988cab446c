"""No code of a file is run, wherever it lies, and files that are broken are refused in one line."""

import base64
import io
import json
import os
import pickle
import shutil
import struct
import sys
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dpg import api
from dpg.agent import snapshot
from dpg.agent.snapshot import Snapshot
from dpg.importing import archive, inert_pickle, normalizer, sb3
from dpg.importing.agent import snapshot_of
from dpg.importing.errors import AgentImportError, UnsafeFileError
from tests.importing.agents import ENV, Trained, read, refusal, saved


class Evil:
    """Pickled, it runs a command that leaves a file."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> Any:
        import os

        return os.system, (f"touch {self._trace}",)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """The file that code leaves if it is run; its absence is checked, and that running it would have left it."""
    path = tmp_path / "trace"
    yield path
    assert not path.exists(), "code of a file was run"
    pickle.loads(pickle.dumps(Evil(path)))
    assert path.exists(), "this code would have done nothing anyway"


def by_name(module: str, name: str, argument: str) -> bytes:
    """The pickle of a call, written by hand: the name as it stands in the file."""
    return f"c{module}\n{name}\n(V{argument}\ntR.".encode()


@pytest.mark.parametrize("protocol", range(6))
def test_a_normaliser_that_names_code_is_refused_by_name(train, trace, tmp_path, protocol):
    bad = tmp_path / "bad.pkl"
    bad.write_bytes(pickle.dumps({"obs_rms": [Evil(trace)]}, protocol))
    assert "posix.system" in refusal(train().zip, UnsafeFileError, normalizer=bad)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("numpy", "load"),
        ("numpy.core.multiarray", "fromfile"),
        ("torch", "load"),
        ("numpyrandom", "seed"),
        ("stable_baselines3.common.vec_env.vec_normalize", "VecNormalize.load"),
    ],
)
def test_any_name_that_is_not_known_to_be_harmless_ends_the_reading(module, name):
    with pytest.raises(UnsafeFileError, match=f"names {module}.{name}, "):
        inert_pickle.load(by_name(module, name, "x"), "bad.pkl")


@pytest.mark.parametrize("name", ["numpy.random._pickle __randomstate_ctor", "gym.spaces.box Box", "numpy dtype"])
def test_a_known_name_is_never_imported_nor_called(name):
    """It is a record of what it was called with: no NumPy, no Gym."""
    module, _, attribute = name.partition(" ")
    found = inert_pickle.load(by_name(module, attribute, "f8"), "any.pkl")
    assert type(found).__module__ == "dpg.importing.inert_pickle" and found.args == ("f8",)


@pytest.mark.parametrize("member", ["policy.pth", "policy.optimizer.pth"])
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_tensors_that_name_code_are_refused_by_name(train, rewritten, trace, member, legacy):
    buffer = io.BytesIO()
    torch.save({"log_std": Evil(trace)}, buffer, _use_new_zipfile_serialization=not legacy)
    bad = rewritten(train().zip, members={member: buffer.getvalue()})
    message = refusal(bad, UnsafeFileError, no_normalizer=True)
    assert "posix.system" in message and member in message


def test_a_serialised_field_that_names_code_is_never_decoded(train, rewritten, trace):
    """Its own library would run it. Where the field matters, a default is taken and said."""
    evil = base64.b64encode(pickle.dumps(Evil(trace))).decode()
    field = {":type:": "<class 'function'>", ":serialized:": evil}
    bad = rewritten(train().zip, data={"clip_range": field, "lr_schedule": field, "_last_obs": field})
    found = read(bad, normalizer=train().normalizer)
    assert found.source is not None
    assert any(line.startswith("clip range 0.2: ") for line in found.source.assumed)


def test_yaml_that_names_code_is_refused_by_name(train, trace, tmp_path):
    folder = tmp_path / "zoo"
    (folder / "model").mkdir(parents=True)
    (folder / "model.zip").write_bytes(train().zip.read_bytes())
    (folder / "model" / "args.yml").write_text(f"!!python/object/apply:os.system ['touch {trace}']\n", encoding="utf-8")
    assert "os.system" in refusal(folder, UnsafeFileError)


def test_a_state_dictionary_that_names_code_is_refused_by_name(trace, tmp_path):
    path = tmp_path / "agent.cleanrl_model"
    path.write_bytes(saved({"actor_logstd": Evil(trace)}))
    assert "posix.system" in refusal(path, UnsafeFileError, no_normalizer=True)


def test_an_npz_with_objects_is_refused(train, trace, tmp_path):
    np.savez(tmp_path / "bad.npz", mean=np.array([Evil(trace)], object), var=np.ones(4))
    assert "not an .npz of plain arrays" in refusal(train().zip, normalizer=tmp_path / "bad.npz")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("what", ["zip", "policy.pth", "policy.optimizer.pth", "data", "normalizer"])
def test_truncated_files_are_refused_in_one_line(train, rewritten, tmp_path, what, share):
    trained: Trained = train()
    if what == "normalizer":
        content = trained.normalizer.read_bytes()
        (tmp_path / "cut.pkl").write_bytes(content[: int(share * len(content))])
        refusal(trained.zip, normalizer=tmp_path / "cut.pkl")
        return
    if what == "zip":
        content = trained.zip.read_bytes()
        (tmp_path / "cut.zip").write_bytes(content[: int(share * len(content))])
        assert "not a whole" in refusal(tmp_path / "cut.zip", no_normalizer=True)
        return
    with zipfile.ZipFile(trained.zip) as file:
        content = file.read(what)
    cut = rewritten(trained.zip, members={what: content[: int(share * len(content))]})
    refusal(cut, no_normalizer=True)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_normaliser_with_wrong_bytes_is_read_or_refused_and_nothing_else(train, tmp_path, data):
    """No byte makes it raise anything but a refusal, and whatever is read is finite statistics of one shape."""
    content = bytearray(train().normalizer.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "wrong.pkl"
    path.write_bytes(content)
    with suppress(AgentImportError):
        found = normalizer.read(path)
        for moments in (each.moments for each in (found.obs, found.reward) if each):
            assert np.isfinite(moments.mean).all() and moments.mean.shape == moments.variance.shape


def test_an_array_that_claims_more_than_it_has_is_refused():
    """NumPy's own unpickler would reserve the memory first."""
    shape = struct.pack("<BI", ord("J"), 2**30)
    text = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(" + shape + b"tU\x01btR.\n"
    found = inert_pickle.load(text, "big.pkl")
    with pytest.raises(AgentImportError, match="numbers are expected"):
        inert_pickle.array(found, "mean")


def test_members_are_never_written_anywhere(train, rewritten, tmp_path):
    """A name that leads out of the folder is a name."""
    path = rewritten(train().zip, members={"../../escaped": b"x", "/escaped": b"x"})
    read(path, normalizer=train().normalizer)
    assert not (tmp_path.parent.parent / "escaped").exists() and not Path("/escaped").exists()


def test_a_tensor_that_claims_more_numbers_than_its_storage_is_refused(train, rewritten):
    """A view of one number as a thousand million would fill the memory when it is copied."""
    bad = rewritten(train().zip, tensors={"log_std": torch.zeros(1).expand(1 << 30)})
    assert "log_std: has 4,294,967,296 bytes; at most" in refusal(bad, no_normalizer=True)


@pytest.mark.parametrize("wrong", [torch.tensor([float("nan")]), torch.ones(1, dtype=torch.int64), "text"])
def test_weights_that_are_no_finite_numbers_are_refused(train, rewritten, wrong):
    refusal(rewritten(train().zip, tensors={"action_net.bias": wrong}), no_normalizer=True)


@pytest.mark.parametrize("text", [b"Nr\xff\xff\xff\x7f.", b"Np99999999999\n."])
def test_a_far_place_in_the_memo_is_refused(text):
    """The reader would reserve memory up to it: 32 GB for six bytes."""
    with pytest.raises(AgentImportError, match="not a whole pickle \\(place "):
        inert_pickle.load(text, "far.pkl")


def test_what_is_no_regular_file_is_refused_and_not_waited_for(train, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "a file is expected" in refusal(tmp_path / "pipe", no_normalizer=True)
    assert "a file is expected" in refusal(train().zip, normalizer=tmp_path / "pipe")


def test_tensors_of_another_pickle_are_refused_with_the_reason(train, rewritten, recwarn):
    """PyTorch's own message advises to read the file without its safe reader."""
    bad = rewritten(train().zip, members={"policy.pth": pickle.dumps({"a": [1]}, 4)})
    message = refusal(bad, no_normalizer=True)
    assert "not a file of tensors (" in message and "weights_only" not in message
    assert not recwarn.list


WRONG = (None, -1, 0, 1.5, 10**400, 1e300, "1.2.3", [], {"value_schedule": "ConstantSchedule(val=1.2.3)"})


@pytest.mark.parametrize("algorithm", ["PPO", "TRPO"])
def test_settings_of_any_kind_are_read_or_refused_and_nothing_else(train, rewritten, monkeypatch, algorithm):
    """No value of a setting raises anything but a refusal."""
    path = train(algorithm).zip
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    settings = json.loads(members["data"])
    numbers = [name for name, value in settings.items() if isinstance(value, int | float) or name.startswith("clip")]
    assert len(numbers) > 10
    for name in numbers:
        for value in WRONG:
            changed = members | {"data": json.dumps(settings | {name: value}).encode()}
            monkeypatch.setattr(archive, "members", lambda *_, changed=changed: changed)
            with suppress(AgentImportError):
                snapshot_of(sb3.read(path, "any", {name: value}), ())


def test_the_folder_of_an_agent_is_no_place_to_import_from(train, make_population, make_recipe, tmp_path, monkeypatch):
    """A mujoco.py next to a downloaded agent would be imported in place of the library."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").touch()
    agent = Path(shutil.copy(train().zip, tmp_path))
    api.load_agent(agent, ENV, normalizer=train().normalizer)
    snapshot.load(snapshot.save(Snapshot(0, make_recipe(), make_population(1)), tmp_path))
    assert str(tmp_path) not in sys.path
