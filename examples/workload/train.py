"""Trains the byte model with DistributedDataParallel over gloo: `torchrun train.py`, or `python3 train.py` once per pod.

Every batch is a function of the step alone and every checkpoint holds all that the next step needs, so a run that was
interrupted and resumed ends with the very weights of an undisturbed one (same number of ranks).
"""

import ctypes
import io
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import checkpoint
import torch
from environment import Options, Place, granted_devices, main_environment, report
from model import ByteModel, encode
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

CORPUS = Path(__file__).with_name("corpus.txt")
BATCH = 32  # sequences per step, shared out among the ranks
CONTEXT = 64  # bytes per sequence
LEARNING_RATE = 8e-3
SEED = 20


def main() -> None:
    place, options = main_environment()
    end_on_sigterm()
    torch.set_num_threads(1)
    whoami = f"rank {place.rank} of {place.world}, attempt {options.attempt} on {options.accelerator}"
    print(f"{whoami}, {granted_devices(os.environ)}", flush=True)
    if place.world > BATCH:
        sys.exit(f"{place.world} ranks share {BATCH} sequences: ask for at most {BATCH} ranks")
    try:
        join_gang(place, options)
        train(place, options)
    except RuntimeError as error:
        if "gloo" not in str(error):
            raise
        sys.exit(f"rank {place.rank} lost a peer: {str(error).splitlines()[0]}")


def end_on_sigterm() -> None:
    """End at once on SIGTERM, also as process 1 of a container (where the kernel ignores it by default), with code 15.

    The handler is C's own `_exit`: one in Python would run only after a wait for peers, which lasts minutes. There is nothing
    to save: checkpoints are whole or absent.
    """
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    libc.signal(signal.SIGTERM, ctypes.cast(libc._exit, ctypes.c_void_p))


def join_gang(place: Place, options: Options) -> None:
    """Meet the other ranks. Pods start minutes apart, so the meeting has a longer timeout than an operation afterwards."""
    peer_timeout = timedelta(seconds=options.peer_timeout)
    if place.by_torchrun:  # its agents have met already and share their store through MASTER_ADDR
        distributed.init_process_group("gloo", timeout=peer_timeout)
        return
    store = distributed.TCPStore(
        place.leader,
        place.port,
        place.world,
        is_master=place.rank == 0,
        timeout=timedelta(seconds=options.rendezvous_timeout),
    )
    distributed.init_process_group("gloo", store=store, rank=place.rank, world_size=place.world, timeout=peer_timeout)


def train(place: Place, options: Options) -> None:
    torch.manual_seed(SEED)
    model = ByteModel()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    windows = encode(CORPUS.read_text()).unfold(0, CONTEXT + 1, 1)
    done = restore(place, options, model, optimizer)
    parallel = DistributedDataParallel(model)

    for step in range(done + 1, options.steps + 1):
        if place.rank == 0 and step == options.fail_at_step:
            sys.exit(f"failing at step {step} of attempt {options.attempt}, as FAIL_AT_STEP asks")
        loss = train_step(parallel, optimizer, batch_of(windows, step, place))
        last = step == options.steps
        if place.rank == 0 and (last or step % options.log_every == 0):
            print(f"step {step}/{options.steps} loss {loss:.4f} on {options.accelerator}", flush=True)
        if place.rank == 0 and (last or step % options.checkpoint_every == 0):
            state = {"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()["state"]}
            save(place, options, state, loss)
    distributed.barrier()  # no rank leaves, and ends its pod, before rank 0 has written the last checkpoint
    if place.rank == 0:
        print(f"done: {options.steps} steps on {place.world} ranks", flush=True)


def batch_of(windows: torch.Tensor, step: int, place: Place) -> torch.Tensor:
    """This rank's share of the step's batch: [about BATCH / world, CONTEXT + 1] of int64."""
    order = torch.Generator().manual_seed(SEED + step)
    chosen = torch.randint(len(windows), (BATCH,), generator=order)
    return windows[chosen[place.rank :: place.world]]


def train_step(parallel: DistributedDataParallel, optimizer: torch.optim.Optimizer, batch: torch.Tensor) -> float:
    """One step on gradients averaged over all ranks; the loss (nats per byte), averaged over them too."""
    logits, _ = parallel(batch[:, :-1])
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(parallel.parameters(), 1.0)
    optimizer.step()
    mean = loss.detach() / distributed.get_world_size()
    distributed.all_reduce(mean)
    return float(mean)


def save(place: Place, options: Options, state: dict[str, Any], loss: float) -> None:
    """`state` holds all that the next step needs: "step", "model", "optimizer"; tensors and whole numbers only.

    More is not read back: weights_only, which runs no code from the file, knows no floats in PyTorch 1.13.
    """
    if options.checkpoint_dir is None:
        report(options.termination_log, state["step"], None)
        return
    buffer = io.BytesIO()
    torch.save(state, buffer)
    meta = {"loss": loss, "accelerator": options.accelerator, "ranks": place.world}
    saved = checkpoint.save(options.checkpoint_dir, state["step"], buffer.getvalue(), meta, options.checkpoint_keep)
    report(options.termination_log, saved.step, (saved.folder.name, saved.digest))


def restore(place: Place, options: Options, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Continue from the newest complete checkpoint, when there is one. Returns the steps already done.

    Rank 0 alone looks and sends what it found: two ranks that read a shared directory for themselves may see different states
    of it.
    """
    found = checkpoint.newest(options.checkpoint_dir) if place.rank == 0 and options.checkpoint_dir else None
    box: list[Any] = [found.payload if found else None]
    distributed.broadcast_object_list(box)
    if place.rank == 0 and found:
        print(f"resuming after step {found.step}, {found.digest}", flush=True)
        report(options.termination_log, found.step, (found.folder.name, found.digest))
    elif place.rank == 0 and options.resume_expected:
        print(
            f"an earlier attempt reported a checkpoint, but {options.checkpoint_dir} holds no complete one: starting at step 1"
        )
    if box[0] is None:
        return 0
    payload = torch.load(io.BytesIO(box[0]), weights_only=True)
    model.load_state_dict(payload["model"])
    # Pickle writes a string it has met before as a reference. With its keys interned, as they are in an undisturbed run, an
    # equal state is written as equal bytes and has an equal digest.
    moments = {
        index: {sys.intern(key): value for key, value in of.items()} for index, of in payload["optimizer"].items()
    }
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    return int(payload["step"])


if __name__ == "__main__":
    main()
