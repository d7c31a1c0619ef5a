"""A small language model over bytes: embedding, GRU, linear. The same weights are trained and served."""

from typing import Any

import torch
from torch import nn

BYTES = 256
EMBEDDING = 32
HIDDEN = 128


class ByteModel(nn.Module):  # type: ignore[misc]  # PyTorch 1.13 comes without types
    """Predicts the next byte of a text."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(BYTES, EMBEDDING)
        self.gru = nn.GRU(EMBEDDING, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, BYTES)

    def forward(self, tokens: torch.Tensor, state: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """tokens [batch, time] of int64, state [1, batch, HIDDEN] -> logits [batch, time, BYTES], the state after them."""
        hidden, state = self.gru(self.embedding(tokens), state)
        return self.head(hidden), state


def encode(text: str) -> torch.Tensor:
    """[time] of int64, one per UTF-8 byte."""
    return torch.tensor(list(text.encode()), dtype=torch.int64)


def generate(model: ByteModel, prompt: str, length: int, temperature: float, seed: int | None = None) -> str:
    """`length` bytes that follow `prompt`, as text. Temperature 0 takes the likeliest byte, and so is repeatable."""
    random = torch.Generator()
    random.seed() if seed is None else random.manual_seed(seed)
    written = bytearray()
    tokens, state = encode(prompt or "\n").unsqueeze(0), None
    with torch.inference_mode():
        while len(written) < length:
            logits, state = model(tokens, state)
            token = choose(logits[0, -1], temperature, random)
            written.append(token)
            tokens = torch.tensor([[token]])
    return written.decode(errors="replace")


def choose(logits: torch.Tensor, temperature: float, random: torch.Generator) -> int:
    """One byte by its logits [BYTES]."""
    if temperature == 0:
        return int(logits.argmax())
    return int(torch.multinomial((logits / temperature).softmax(-1), 1, generator=random))


def load_weights(payload: dict[str, Any]) -> ByteModel:
    """The model of a checkpoint's payload, ready to generate."""
    model = ByteModel()
    model.load_state_dict(payload["model"])
    model.eval()
    return model
