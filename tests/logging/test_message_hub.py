from __future__ import annotations

import enum
import gc
import io
import timeit
import weakref

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from toolkit.logging import HistoryBuffer, MessageHub


class Operators(TorchDispatchMode):
    """Counts the operators that torch runs."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func.overloadpacket.__name__))
        return func(*args, **(kwargs or {}))


def through_a_file(state: dict) -> dict:
    stream = io.BytesIO()
    torch.save(state, stream)
    stream.seek(0)
    return torch.load(stream, weights_only=True)


@pytest.fixture
def hub() -> MessageHub:
    return MessageHub("hub")


class OnDevice(torch.Tensor):
    """A tensor that says that it is on a device, where reading it would wait."""

    is_cpu = False


def test_updating_runs_no_operator_and_reading_one_join(hub: MessageHub) -> None:
    plain = {"loss": torch.tensor(1.5), "loss_cls": torch.tensor(0.5), "acc": torch.tensor([2.0])}
    losses = {key: value.as_subclass(OnDevice) for key, value in plain.items()}
    with Operators() as updating:
        for _ in range(20):
            hub.update_scalars(losses, "train")
    assert updating.names == []
    with Operators() as reading:
        assert hub.get_scalar("train/loss").mean() == 1.5
    assert reading.names.count("cat") == 1
    assert "_local_scalar_dense" not in reading.names  # what `item()` runs, with a transfer each
    with Operators() as again:
        assert hub.get_scalar("train/acc").mean() == 2.0
    assert again.names == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_one_transfer_from_a_cuda_device(hub: MessageHub) -> None:
    device = torch.device("cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(10):
            values = torch.full((), float(step), device=device)
            hub.update_scalars({"loss": values, "half": values.half(), "count": values.long()}, "train")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    with torch.profiler.profile() as profile:
        assert hub.get_scalar("train/loss").data[0].tolist() == list(range(10))
    copies = [event for event in profile.events() if "Memcpy DtoH" in event.name]
    assert len(copies) == 1
    assert hub.get_scalar("train/half").mean() == hub.get_scalar("train/count").mean() == 4.5


def test_an_update_costs_about_a_microsecond(hub: MessageHub) -> None:
    losses = {f"loss_{number}": torch.rand(()) for number in range(5)}
    seconds = min(timeit.repeat(lambda: hub.update_scalars(losses, "train"), number=300, repeat=7)) / 300
    # 0.5 us on a quiet machine; the bound leaves room for a busy one.
    assert seconds < 5e-6


def test_losses_on_the_host_do_not_wait(hub: MessageHub) -> None:
    loss = torch.tensor(1.5)
    watched = weakref.ref(loss)
    hub.update_scalars({"loss": loss}, "train")
    del loss
    assert watched() is None
    with Operators() as reading:
        assert hub.get_scalar("train/loss").current() == 1.5
    assert reading.names == []


def test_channel_appends_until_it_is_read_and_after(hub: MessageHub) -> None:
    note = hub.channel("train", "time", resumed=False)
    assert "train/time" not in hub.log_scalars
    for value in (1.0, 2.0):
        note(value)
    assert hub.get_scalar("train/time").mean() == 1.5
    note(6.0)
    hub.update_scalars({"time": 3.0}, "train", resumed=False)
    assert hub.get_scalar("train/time").data[0].tolist() == [1, 2, 6, 3]
    assert "train/time" not in hub.state_dict()["log_scalars"]


def test_waiting_losses_do_not_keep_their_graph(hub: MessageHub) -> None:
    weight = torch.ones(3, requires_grad=True)
    activation = weight * 2
    watched = weakref.ref(activation)
    hub.update_scalars({"loss": (activation * activation).sum().as_subclass(OnDevice)}, "train")
    del activation
    gc.collect()
    assert watched() is None
    assert hub.get_scalar("train/loss").current() == 12


def test_updates_that_nobody_reads_are_bounded(hub: MessageHub) -> None:
    hub.set_source("train", lambda: {"lr": 0.1})
    for _ in range(5000):
        hub.update_scalars({"loss": torch.zeros(()).as_subclass(OnDevice)}, "train")
    assert 0 < len(hub._pending["train", True]["loss"]) < 2001
    assert len(hub.get_scalar("train/loss")) == 5000


def test_later_changes_of_the_dict_are_not_seen(hub: MessageHub) -> None:
    losses = {"loss": 1.0}
    hub.update_scalars(losses)
    losses["loss"] = 2.0
    assert hub.get_scalar("loss").current() == 1.0


@pytest.mark.parametrize(
    "value",
    [3, 3.0, np.float32(3), np.array([3]), torch.tensor(3), torch.tensor([[3.0]]), torch.tensor(3.0).half()],
)
def test_kinds_of_numbers(hub: MessageHub, value: object) -> None:
    hub.update_scalar("one", value)
    hub.update_scalars({"two": value, "three": {"value": value, "count": 2}}, "x")
    assert hub.get_scalar("one").current() == 3
    assert hub.get_scalar("x/two").current() == 3
    assert hub.get_scalar("x/three").mean() == 1.5


def test_kinds_may_change_within_a_history(hub: MessageHub) -> None:
    for value in (1, torch.tensor(2.0), torch.tensor([3.0], dtype=torch.float64), np.float32(4)):
        hub.update_scalars({"mixed": value})
    assert hub.get_scalar("mixed").data[0].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("value", [torch.zeros(2), np.zeros((2, 2)), "text", None, [1.0]])
def test_what_is_no_number_is_refused_with_its_key(hub: MessageHub, value: object) -> None:
    with pytest.raises((TypeError, ValueError), match="loss_x"):
        hub.update_scalar("loss_x", value)
    hub.update_scalars({"loss_x": value}, "train")
    with pytest.raises((TypeError, ValueError), match="train/loss_x"):
        _ = hub.log_scalars


def test_bad_count_dict(hub: MessageHub) -> None:
    hub.update_scalars({"a": {"value": 1, "cuont": 2}})
    with pytest.raises(ValueError, match="cuont"):
        _ = hub.log_scalars


def test_unknown_key_names_the_nearest(hub: MessageHub) -> None:
    hub.update_scalar("train/loss", 1)
    with pytest.raises(KeyError, match="did you mean 'train/loss'"):
        hub.get_scalar("train/los")


def test_source_is_asked_when_others_are_read(hub: MessageHub) -> None:
    rates = iter([0.1, 0.2, 0.3])
    hub.set_source("train", lambda: {"lr": next(rates)})
    assert "train/lr" not in hub.log_scalars
    for _ in range(3):
        hub.update_scalars({"loss": 1.0}, "train")
    assert hub.get_scalar("train/lr").data[0].tolist() == [0.1]
    hub.update_scalars({"time": 1.0}, "val")
    assert len(hub.get_scalar("train/lr")) == 1
    hub.update_scalars({"loss": 1.0}, "train")
    assert hub.get_scalar("train/lr").current() == 0.2
    hub.set_source("train", None)
    hub.update_scalars({"loss": 1.0}, "train")
    assert hub.get_scalar("train/lr").current() == 0.2


def test_info(hub: MessageHub) -> None:
    hub.update_info("iter", 3)
    hub.update_info_dict({"epoch": 1, "stage": "train"})
    assert hub.get_info("iter") == 3
    assert hub.get_info("nothing", 7) == 7
    assert hub.pop_info("stage") == "train"
    assert list(hub.runtime_info) == ["iter", "epoch"]


class Kind(int, enum.Enum):
    A = 1


def test_state_survives_a_safe_file(hub: MessageHub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.update_scalars({"loss": torch.tensor(1.0), "acc": {"value": 6, "count": 2}}, "train")
    hub.update_scalar("train/time", 1.0, resumed=False)
    hub.update_info("meta", {"classes": ("a", "b"), "score": np.float64(0.5), "kind": Kind.A, 3: None})
    hub.update_info("array", np.arange(3))
    hub.update_info("temporary", 1, resumed=False)
    hub.update_info("object", object())
    state = through_a_file(hub.state_dict())
    assert "object" in capsys.readouterr().out

    other = MessageHub("other")
    other.update_scalar("kept", 1)
    other.load_state_dict(state)
    assert sorted(other.log_scalars) == ["kept", "train/acc", "train/loss"]
    assert other.get_scalar("train/acc").mean() == 3
    assert other.get_info("meta") == {"classes": ("a", "b"), "score": 0.5, "kind": 1, 3: None}
    assert other.get_info("array").tolist() == [0, 1, 2]
    assert other.get_info("temporary") is None
    assert other.get_info("object") is None
    assert through_a_file(other.state_dict())["resumed_keys"]["train/time"] is False


def test_state_of_another_hub(hub: MessageHub) -> None:
    hub.update_scalar("a", 2)
    other = MessageHub("other")
    other.load_state_dict(hub)
    other.get_scalar("a").update(4)
    assert hub.get_scalar("a").data[0].tolist() == [2]


def test_foreign_state_is_refused(hub: MessageHub) -> None:
    with pytest.raises(ValueError, match="log_scalars"):
        hub.load_state_dict({"runtime_info": {}, "resumed_keys": {}})


def test_constructor_takes_histories() -> None:
    hub = MessageHub("h", log_scalars={"a": HistoryBuffer([1])}, runtime_info={"b": 2})
    assert hub.get_scalar("a").current() == 1
    assert hub.get_info("b") == 2
    with pytest.raises(TypeError, match="list"):
        MessageHub("h", log_scalars={"a": [1]})


def test_named_instances() -> None:
    first = MessageHub.get_instance("first of this test")
    assert MessageHub.get_instance("first of this test") is first
    assert MessageHub.get_current_instance() is first
    assert first.instance_name == "first of this test"
