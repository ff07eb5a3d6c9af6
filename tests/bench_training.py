"""How fast training is beside the machine's own matrix products: `make bench-training`. Nothing else should run.

Every Keras backend that is installed is measured, in float32 and bfloat16, with the recurrence of `train` and with
`keras.layers.LSTM` in its place. Where the backends live in several environments, all are measured in one run:

    TRAINING_PYTHONS=.venv/bin/python:~/torch/bin/python make bench-training
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple
from unittest import mock

ROOT = Path(__file__).parents[1]
BACKENDS = ("tensorflow", "torch", "jax")
PRECISIONS = ("float32", "bfloat16")
RECURRENCES = ("train", "plain")  # ours, and Keras's layer as anyone would write it
BATCH, STEPS = 64, 128
# m x k @ k x n. The last is one step of the recurrence, so that the peak is not of shapes it never meets.
PRODUCTS = ((1024, 1024, 1024), (2048, 2048, 2048), (BATCH, 512, 2048))
PRODUCT_S = 0.3  # how long each is repeated, a round
LEAST_UPDATES = 5


# The worker: one backend, in a process of its own


def serve() -> None:
    """One line in, one out: `product float32` gives GFLOP/s by shape, `update float32 train` seconds."""
    import keras

    backend = keras.backend.backend()
    updates = {precision: {name: Update(precision, name) for name in RECURRENCES} for precision in PRECISIONS}
    library = __import__(backend).__version__
    about = {"library": f"{backend} {library}", "keras": keras.__version__, "python": sys.version.split()[0]}
    say({**about, "flops": updates["float32"]["train"].flops})
    for line in sys.stdin:
        what, precision, *which = line.split()
        say(products(precision) if what == "product" else updates[precision][which[0]].run())


def say(value: Any) -> None:
    print(json.dumps(value), flush=True)


class Update:
    """One update of the real model, again and again."""

    def __init__(self, precision: str, recurrence: str) -> None:
        import keras

        from train.network import likelihood, model

        layer = plain_lstm if recurrence == "plain" else model.CarriedLSTM
        with mock.patch.object(model, "CarriedLSTM", layer):
            self._model = model.build(model.Shape(), BATCH, 0.0, precision)
        self._model.compile(
            keras.optimizers.AdamW(1e-3, weight_decay=1e-2, global_clipnorm=1.0),
            loss={name: model.nats for name in likelihood.ATTRIBUTES},
            jit_compile=keras.backend.backend() == "jax",  # which is not compiled at all otherwise
        )
        kernels = sum(v.value.shape[0] * v.value.shape[1] for v in self._model.trainable_variables if is_kernel(v.path))
        self.flops = 3 * 2 * kernels  # an event: forward, and twice that backward
        self._batch = tunes()

    def run(self) -> float:
        """Seconds."""
        from train.network import batches

        batch = self._batch
        began = time.perf_counter()
        found = self._model.train_on_batch(
            batches.inputs(batch), batch.targets, sample_weight=batch.weights, return_dict=True
        )
        assert all(float(value) == float(value) for value in found.values()), "the loss is no number"
        return time.perf_counter() - began


def plain_lstm(units: int, batch: int, precision: str = "float32", **kwargs: Any) -> Callable[[Any, Any], Any]:
    """In the place of `model.CarriedLSTM`; each batch starts afresh, for Keras on PyTorch cannot carry the state."""
    import keras

    dtype = "mixed_bfloat16" if precision == "bfloat16" else precision
    layer = keras.layers.LSTM(units, return_sequences=True, dtype=dtype, **kwargs)
    return lambda x, keep: layer(x)


def is_kernel(path: str) -> bool:
    return path.endswith("kernel")


def tunes() -> Any:
    """A batch of made-up music: one long piece, a window of it in each row."""
    from tests import corpora
    from train.network import batches

    piece = corpora.piece(1, BATCH * STEPS // 2)
    return batches.stack([batches.window(piece, row * STEPS, STEPS) for row in range(BATCH)])


def products(precision: str) -> list[float]:
    """GFLOP/s of each of PRODUCTS, at best."""
    import keras

    found = []
    for m, k, n in PRODUCTS:
        a, b = (keras.ops.cast(keras.random.normal(shape), precision) for shape in ((m, k), (k, n)))
        times: list[float] = []
        while sum(times) < PRODUCT_S or len(times) < 3:
            began = time.perf_counter()
            product = keras.ops.matmul(a, b)
            getattr(product, "block_until_ready", lambda: None)()  # JAX goes on before it is done
            times.append(time.perf_counter() - began)
        found.append(2e-9 * m * k * n / min(times))
    return found


# The bench: asks the workers in turn, so that all meet the same weather


class Worker(NamedTuple):
    backend: str
    about: dict[str, Any]
    process: subprocess.Popen[str]
    errors: IO[str]

    def ask(self, *words: str) -> Any:
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(" ".join(words) + "\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            sys.exit(f"{self.backend} failed at `{' '.join(words)}`: {last_line(self.errors)}")
        return json.loads(answer)


def last_line(errors: IO[str]) -> str:
    errors.seek(0)
    lines = [line for line in errors.read().splitlines() if line.strip()]
    return lines[-1] if lines else "it ended without a word"


@contextlib.contextmanager
def worker(python: str, backend: str) -> Iterator[Worker | str]:
    """A backend in its process; or why there is none."""
    env = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [os.path.expanduser(python), "-m", "tests.bench_training", "--serve"]
    pipe = subprocess.PIPE
    with tempfile.TemporaryFile("w+") as errors:
        try:
            process = subprocess.Popen(command, env=env, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=errors, text=True)
        except OSError as error:
            yield str(error)
            return
        with process:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield Worker(backend, json.loads(line), process, errors) if line else last_line(errors)


def workers(pythons: list[str], open_: contextlib.ExitStack) -> Iterator[Worker]:
    """Each backend in the first interpreter that has it."""
    for backend in BACKENDS:
        lacking = []
        for python in pythons:
            found = open_.enter_context(worker(python, backend))
            if isinstance(found, Worker):
                about = found.about
                print(f"{about['library']}, Keras {about['keras']}, Python {about['python']}", flush=True)
                yield found
                break
            lacking.append(f"{python}: {found}")
        else:
            print(f"{backend} is left out ({'; '.join(lacking)})", flush=True)


class Measured(NamedTuple):
    """Keys: (backend, precision) and (backend, precision, recurrence)."""

    gflops: dict[tuple[str, str], list[float]]  # the best of each of PRODUCTS
    seconds: dict[tuple[str, str, str], list[float]]


def measure(running: list[Worker], updates: int) -> Measured:
    gflops: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0] * len(PRODUCTS))
    seconds: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for number in range(updates + 1):
        print(f"update {number} of {updates}" if number else "warming up", flush=True)
        for one in running:
            for precision in PRECISIONS:
                key = one.backend, precision
                found = one.ask("product", precision)
                gflops[key] = [max(pair) for pair in zip(gflops[key], found, strict=True)]
                for recurrence in RECURRENCES:
                    took = one.ask("update", precision, recurrence)
                    if number:
                        seconds[(*key, recurrence)].append(took)
    return Measured(dict(gflops), dict(seconds))


def report(measured: Measured, flops: int) -> Iterator[str]:
    yield "\nbest matrix products, GFLOP/s (the peak is the greatest of a row)"
    yield f"{'backend':12}{'precision':12}" + "".join(f"{f'{m}x{k} @ {k}x{n}':>24}" for m, k, n in PRODUCTS)
    for (backend, precision), found in measured.gflops.items():
        yield f"{backend:12}{precision:12}" + "".join(f"{value:24.0f}" for value in found)
    yield f"\ntraining, {BATCH} x {STEPS} tokens an update, {flops / 1e6:.1f} MFLOP an event, medians"
    yield (
        f"{'backend':12}{'precision':12}{'recurrence':12}{'s/update':>10}{'events/s':>10}{'GFLOP/s':>10}"
        f"{'of peak':>10}{'over plain':>12}"
    )
    for (backend, precision, recurrence), times in measured.seconds.items():
        took = statistics.median(times)
        speed = BATCH * STEPS / took
        share = speed * flops / 1e9 / max(measured.gflops[backend, precision])
        faster = statistics.median(measured.seconds[backend, precision, "plain"]) / took
        yield (
            f"{backend:12}{precision:12}{recurrence:12}{took:10.2f}{speed:10,.0f}{speed * flops / 1e9:10.0f}"
            f"{share:10.0%}{faster:11.2f}x"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description="Training speed, as a share of the machine's matrix products.")
    parser.add_argument("--updates", type=int, default=LEAST_UPDATES + 2, help="that are timed, of each kind")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
        return 0
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    if arguments.updates < LEAST_UPDATES:
        print(f"fewer than {LEAST_UPDATES} updates: a check that it runs, no measurement")
    pythons = os.environ.get("TRAINING_PYTHONS", sys.executable).split(os.pathsep)
    with contextlib.ExitStack() as open_:
        running = list(workers(pythons, open_))
        if not running:
            print("no Keras backend is installed; `.venv/bin/pip install -e '.[train]'` brings one", file=sys.stderr)
            return 2
        measured = measure(running, arguments.updates)
        print("\n".join(report(measured, running[0].about["flops"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
