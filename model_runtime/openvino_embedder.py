"""Runs a BERT sentence-transformers model on the CPU through OpenVINO. The only file that imports openvino.

Owns the graph (built from the weights with OpenVINO's own operations; torch is not needed), its compilation
and the infer requests. Supports BertModel with mean or first-token pooling; says so for anything else.

The word embeddings, four fifths of the default model, stay out of the graph: their rows are read from the weight
file, which the system caches for all processes. That saves 370 MB a process, and the rest compiles in 0.2 s, so
there is no compiled copy on disk that could grow stale.

OpenVINO keeps about 1 MB for every shape of input it has ever seen, so the shapes are few: lengths are rounded up,
and the batches of a length have all the same number of rows. The padding costs 5 to 7% of the time.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import Node
from openvino import opset13 as op

from model_runtime.embedder import Embedder, batches_by_length
from model_runtime.errors import UnsupportedModel
from model_runtime.model_folder import ModelFolder
from model_runtime.token_reader import TokenReader
from model_runtime.weights import Weights

TOKEN_BUDGET = 1024
_MASKED = 1e9


class OpenVinoEmbedder(Embedder):
    """The folder's model on the CPU, in bfloat16 where the CPU computes in it, else in float32."""

    backend = "openvino"

    def __init__(self, folder: ModelFolder, threads: int = 0, precision: str = "") -> None:
        _check(folder)
        weights = Weights(folder.path / "model.safetensors")
        try:
            graph = _BertGraph(weights, folder.config, folder.pooling[0])
            self._words = weights.rows(graph.prefix + "embeddings.word_embeddings.weight")
            compiled = _compile(graph.model(), threads, precision)
            weights.let_go()  # compiled, they have been copied
        except KeyError as error:
            raise _unsupported(folder, f"its weights have no tensor {error}") from error
        # One request behind a lock: a request a thread was no faster at 1, 8 and 32 threads, since each uses
        # all cores.
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()
        self._tokens = TokenReader.from_folder(
            folder.path, folder.passage_prefix, folder.query_prefix, folder.max_tokens
        )
        self.identity = folder.identity
        self.dimension = int(folder.config["hidden_size"])
        self.max_tokens = folder.max_tokens
        self.overhead_tokens = self._tokens.overhead
        self.passage_prefix = folder.passage_prefix
        self.query_prefix = folder.query_prefix
        self.precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self._tokens.count(texts)

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        return self._tokens.offsets(text)

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        ids = self._tokens.passages(texts)
        vectors = np.empty((len(ids), self.dimension), np.float32)
        lengths = [self._rounded(len(text)) for text in ids]
        for batch in batches_by_length(lengths, TOKEN_BUDGET):
            length = lengths[batch[0]]
            vectors[batch] = self._infer([ids[index] for index in batch], max(1, TOKEN_BUDGET // length), length)
        return vectors

    def embed_question(self, text: str) -> NDArray[np.float32]:
        ids = self._tokens.question(text)
        vector: NDArray[np.float32] = self._infer([ids], 1, self._rounded(len(ids)))[0]
        return vector

    def _rounded(self, length: int) -> int:
        """The length that a text is padded to: multiples of 4, 8, 16 and 32, about an eighth more at most."""
        step = next((step for step in (4, 8, 16) if length <= 16 * step), 32)
        return min(-(-length // step) * step, self.max_tokens)

    def _infer(self, batch: Sequence[Sequence[int]], rows: int, length: int) -> NDArray[np.float32]:
        """float32 [len(batch), dimension]. Texts are padded to `length` with masked tokens, the batch to `rows`."""
        mask = np.zeros((rows, length), np.float32)
        ids = np.zeros(mask.shape, np.int64)
        for row, content in enumerate(batch):
            ids[row, : len(content)] = content
            mask[row, : len(content)] = 1
        mask[len(batch) :, 0] = 1
        words = self._words(ids)
        with self._lock:
            self._request.infer([words, mask], share_inputs=True)
            return np.array(self._request.get_output_tensor().data[: len(batch)])


def _unsupported(folder: ModelFolder, reason: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"backend=openvino cannot run {folder.path.name}: {reason}. Use backend=torch for this model"
    )


def _check(folder: ModelFolder) -> None:
    """`UnsupportedModel` for a model that `_BertGraph` would compute wrongly."""
    config = folder.config
    if config.get("model_type") != "bert":
        raise _unsupported(folder, f"its architecture is {config.get('model_type', 'unknown')}, not bert")
    if config.get("hidden_act") != "gelu" or config.get("position_embedding_type", "absolute") != "absolute":
        raise _unsupported(folder, "its activation is not gelu or its positions are not absolute")
    if not (folder.path / "model.safetensors").is_file():
        raise _unsupported(folder, "it has no model.safetensors")
    if folder.modules not in (("Transformer", "Pooling"), ("Transformer", "Pooling", "Normalize")):
        raise _unsupported(folder, f"its stages ({', '.join(folder.modules)}) are not Transformer, Pooling, Normalize")
    if folder.pooling not in (("mean",), ("cls",)) or not folder.pools_prompt:
        raise _unsupported(folder, f"its pooling ({', '.join(folder.pooling)}) is not mean or cls over the whole text")
    if folder.lower_case:
        raise _unsupported(folder, "it lower-cases texts outside its tokenizer")


def _compile(model: openvino.Model, threads: int, precision: str) -> openvino.CompiledModel:
    core = openvino.Core()
    if not precision:
        precision = "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
    properties: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
        # Pinned, the API's process and the worker's land on the same cores.
        "ENABLE_CPU_PINNING": False,
    }
    if threads:
        properties["INFERENCE_NUM_THREADS"] = threads
    return core.compile_model(model, "CPU", properties)


class _BertGraph:
    """Builds transformers' BertModel (post-norm encoder, Devlin et al. 2018), pooling and normalisation.

    Inputs: word embeddings float32 [batch, length, hidden] and mask float32 [batch, length], 1 for a token
    and 0 for padding. Output: float32 [batch, hidden], rows of unit length. Batch and length are dynamic.
    """

    def __init__(self, weights: Weights, config: Mapping[str, Any], pooling: str) -> None:
        self._weights = weights
        self._pooling = pooling
        self._hidden = int(config["hidden_size"])
        self._heads = int(config["num_attention_heads"])
        self._layers = int(config["num_hidden_layers"])
        self._epsilon = float(config["layer_norm_eps"])
        # A checkpoint of a model with a task head keeps the encoder under "bert.".
        self.prefix = "bert." if "bert.embeddings.word_embeddings.weight" in weights else ""

    def model(self) -> openvino.Model:
        words = op.parameter([-1, -1, self._hidden], np.float32, name="words")
        mask = op.parameter([-1, -1], np.float32, name="mask")
        # What is added to the attention scores: 0 for a token, a large negative number for padding.
        bias = op.multiply(op.subtract(op.unsqueeze(mask, _ints(1, 2)), _float(1)), _float(_MASKED))
        states = self._layer_norm(op.add(words, self._positions(words)), "embeddings.LayerNorm")
        for number in range(self._layers):
            layer = f"encoder.layer.{number}."
            attended = self._linear(self._attention(states, bias, layer), layer + "attention.output.dense")
            states = self._layer_norm(op.add(states, attended), layer + "attention.output.LayerNorm")
            widened = op.gelu(self._linear(states, layer + "intermediate.dense"), "erf")
            narrowed = self._linear(widened, layer + "output.dense")
            states = self._layer_norm(op.add(states, narrowed), layer + "output.LayerNorm")
        vectors = op.normalize_l2(self._pool(states, mask), _ints(1), 1e-24, "max")
        return openvino.Model([op.result(vectors)], [words, mask], "bert")

    def _positions(self, words: Node) -> Node:
        """Position embeddings 0 to length - 1, the embedding of token type 0 added to each."""
        table = (
            self._array("embeddings.position_embeddings.weight")
            + self._array("embeddings.token_type_embeddings.weight")[0]
        )
        length = op.slice(op.shape_of(words), _ints(1), _ints(2), _ints(1))
        return op.slice(op.constant(table), _ints(0), length, _ints(1), _ints(0))

    def _attention(self, states: Node, bias: Node, layer: str) -> Node:
        split = _ints(0, 0, self._heads, self._hidden // self._heads)
        query, key, value = (
            op.transpose(
                op.reshape(self._linear(states, f"{layer}attention.self.{name}"), split, True),
                _ints(0, 2, 1, 3),
            )
            for name in ("query", "key", "value")
        )
        attended = op.scaled_dot_product_attention(query, key, value, bias)
        return op.reshape(op.transpose(attended, _ints(0, 2, 1, 3)), _ints(0, 0, self._hidden), True)

    def _pool(self, states: Node, mask: Node) -> Node:
        if self._pooling == "cls":
            return op.gather(states, op.constant(np.int64(0)), op.constant(np.int64(1)))
        # The sum serves for the mean: the two differ by a factor, which normalisation removes.
        return op.reduce_sum(op.multiply(states, op.unsqueeze(mask, _ints(2))), _ints(1))

    def _linear(self, states: Node, name: str) -> Node:
        product = op.matmul(states, op.constant(self._array(name + ".weight"), shared_memory=True), False, True)
        return op.add(product, op.constant(self._array(name + ".bias")))

    def _layer_norm(self, states: Node, name: str) -> Node:
        normal = op.mvn(states, _ints(-1), True, self._epsilon, "INSIDE_SQRT")
        scaled = op.multiply(normal, op.constant(self._array(name + ".weight"), shared_memory=True))
        return op.add(scaled, op.constant(self._array(name + ".bias")))

    def _array(self, name: str) -> NDArray[np.float32]:
        return self._weights.array(self.prefix + name)


def _ints(*values: int) -> Node:
    return op.constant(np.array(values, np.int64))


def _float(value: float) -> Node:
    return op.constant(np.array(value, np.float32))
