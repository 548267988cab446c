"""A small file cannot fill the memory or take hours, whichever of its formats claims more than it has."""

import io
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch

from dpg.importing import archive, inert_pickle, normalizer, sb3_training
from dpg.importing.errors import AgentImportError, UnsafeFileError

MANY = 1 << 30


def in_zip(program: bytes) -> bytes:
    """What `torch.save` writes, with another pickle in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("archive/data.pkl", program)
        file.writestr("archive/version", "3\n")
    return buffer.getvalue()


def doubled(times: int) -> bytes:
    """A dictionary whose key is a tuple of the tuple before it, twice: its hash visits 2**times parts."""
    steps = b"".join(b"h%c\x86q%c" % (index, index + 1) for index in range(times))
    return b"\x80\x02}K\x01\x85q\x00" + steps + b"K\x01s."


@pytest.mark.parametrize("text", [doubled(100), b"(" + b"]" * inert_pickle.MAX_STEPS + b"l.", b"(" + b"}" * 60_000])
def test_pickles_of_too_many_parts_are_refused(text):
    with pytest.raises(AgentImportError, match="a pickle of more than 50,000 parts"):
        inert_pickle.load(text, "bomb.pkl")
    with pytest.raises(AgentImportError, match="a pickle of more than 50,000 parts"):
        archive.tensors(in_zip(text), "policy.pth")


def test_objects_that_share_their_parts_now_and_then_are_read():
    """As the groups of an optimizer share their betas."""
    betas, text = (0.9, 0.999), "a key"
    value = {text: [betas] * 20, (betas, betas): (betas, text)}
    assert inert_pickle.load(pickle.dumps(value), "good.pkl") == value


def test_a_mark_that_is_popped_hides_nothing():
    """(, POP: the parts of the tuple below it still count."""
    steps = b"".join(b"(0h%c\x86q%c" % (index, index + 1) for index in range(100))
    with pytest.raises(AgentImportError, match="parts"):
        inert_pickle.load(b"\x80\x02}K\x01\x85q\x00" + steps + b"K\x01s.", "bomb.pkl")


@pytest.mark.parametrize(
    "name", ["builtins bytearray", "torch Tensor", "torch._utils _rebuild_qtensor", "torch load", "_codecs encode"]
)
def test_functions_that_would_reserve_memory_are_never_called(name):
    """PyTorch's safe reader allows most of them, with any number."""
    program = b"\x80\x02c" + name.replace(" ", "\n").encode() + b"\n(J" + struct.pack("<i", MANY) + b"tR."
    with pytest.raises(UnsafeFileError, match=f"names {name.replace(' ', '.')}, which tensors have no use for"):
        archive.tensors(in_zip(program), "policy.pth")


def test_an_older_file_that_claims_more_than_is_read_is_refused():
    """Its storage is reserved and, where its last list is empty, never filled."""
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(4)}, buffer, _use_new_zipfile_serialization=False)
    size = b"J" + struct.pack("<i", MANY)
    content = buffer.getvalue().replace(b"K\x04N", size + b"N").replace(b"K\x04\x85", size + b"\x85")
    keys = content.rindex(b"\x80\x02]")
    with pytest.raises(AgentImportError, match="a: has 4,294,967,296 bytes; at most"):
        archive.weights(archive.tensors(content[:keys] + pickle.dumps([], 2), "old.pth"), "old.pth")


def test_tensors_that_are_many_views_of_few_numbers_are_refused(monkeypatch):
    monkeypatch.setattr(archive, "MAX_BYTES", 4_000)
    storage = torch.zeros(600)
    assert len(archive.weights({"a": storage}, "few.pth")) == 1
    with pytest.raises(AgentImportError, match="b: has 4,800 bytes; at most 4,000"):
        archive.weights({"a": storage, "b": storage[:]}, "many.pth")


@pytest.mark.parametrize("kind", ["meta", "sparse", "negated"])
def test_tensors_of_other_kinds_have_no_numbers(kind):
    made = {
        "meta": lambda: torch.zeros(MANY, device="meta"),
        "sparse": lambda: torch.zeros(4).to_sparse(),
        "negated": lambda: torch._neg_view(torch.zeros(4)),
    }
    assert archive.numbers(made[kind]()) is None or kind == "negated"


def test_mappings_that_merge_each_other_are_refused(tmp_path):
    """Each of thirty merges the one before it twice."""
    path = tmp_path / "config.yml"
    lines = "".join(f"a{n}: &a{n}\n  <<: [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 30))
    path.write_text(f"a0: &a0 {{k: v}}\n{lines}", encoding="utf-8")
    with pytest.raises(AgentImportError, match="not plain YAML"):
        archive.yaml_mapping(path)
    path.write_text("- " * archive.MAX_YAML, encoding="utf-8")
    with pytest.raises(AgentImportError, match=r"config\.yml: has 65,536 bytes; at most 32,768 are read"):
        archive.yaml_mapping(path)


def test_a_zip_that_unpacks_to_more_than_is_read_is_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("data", bytes(20_000))
    with pytest.raises(AgentImportError, match="unpacks to 20,000 bytes; at most 10,000"):
        archive.members(buffer.getvalue(), "bomb.zip", limit=10_000)


def test_zips_of_many_members_or_packed_in_other_ways_are_refused():
    """An entry takes ten times its size in memory; LZMA reserves what the file says."""
    entry = archive.ZIP_ENTRY + bytes(42)
    with pytest.raises(AgentImportError, match=r"bad\.zip: has 10,001 members; at most 10,000"):
        archive.members(archive.ZIP_MAGIC + entry * 10_001, "bad.zip")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as file:
        file.writestr("data", b"x")
    with pytest.raises(AgentImportError, match="packed by another method than deflate"):
        archive.members(buffer.getvalue(), "bad.zip")


def test_a_normaliser_that_unpacks_to_more_than_is_read_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "big.npz", mean=np.zeros(10_000, np.int8), var=np.ones(10_000, np.int8))
    monkeypatch.setattr(inert_pickle, "MAX_BYTES", 15_000)
    with pytest.raises(AgentImportError, match=r"unpacks to .* bytes; at most 15,000 are read"):
        normalizer.read(tmp_path / "big.npz")


def test_what_a_file_says_reaches_no_terminal_as_it_is():
    name = "red\x1b[31m\nerror: all is well" + "x" * 10_000
    with pytest.raises(AgentImportError, match="must be a tensor") as caught:
        archive.weights({name[:200]: "text"}, "bad.pth")
    assert str(caught.value).isprintable()
    with pytest.raises(AgentImportError) as caught:
        archive.weights({name: "text"}, "bad.pth")
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("key", ["betas", "weight_decay", "amsgrad", "params"])
def test_tensors_in_place_of_settings_are_no_adam(key):
    """A tensor of several numbers is neither true nor false."""
    moment = {"exp_avg": torch.zeros(2), "exp_avg_sq": torch.zeros(2), "step": 3}
    group = {"betas": (0.9, 0.999), "weight_decay": 0, "amsgrad": False, "params": [0]}
    parameters = {"w": np.zeros(2, np.float32)}
    assert sb3_training.adam({"param_groups": [group], "state": {0: moment}}, parameters) is not None
    for wrong in (torch.ones(2), [torch.ones(2)], (torch.ones(2), 0.999)):
        assert sb3_training.adam({"param_groups": [group | {key: wrong}], "state": {0: moment}}, parameters) is None
