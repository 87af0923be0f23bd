"""The process in which Ray runs, for one command: ``python -m recsys.cluster.driver ADDRESS``.

Reads pickled requests from standard input and writes pickled answers to standard output, see
:class:`recsys.cluster.ray_cluster.Cluster`. It ends when its standard input does.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from recsys.cluster.ray_cluster import LOCAL, ClusterError
from recsys.cluster.worker import (
    FAULT,
    Analyser,
    Pipeline,
    analyse_files,
    examine_files,
    machine_info,
)
from recsys.errors import RecsysError, require

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recsys.cluster.sources import SourceFile

QUIET = 50
"""Level of logging above which Ray writes nothing."""

BLOCK_FILES = 16
"""Files of a task. Its result is a few megabytes, and by such blocks Ray Data holds decoding back
when the model does not follow."""

GPU_TRACKS = 4 * BLOCK_FILES
"""Tracks of a batch on a GPU: some four hundred windows."""

MODEL_SHARE = 0.4
"""Models per processor without GPUs: inference takes this share of the time of decoding."""

# A decoding task leaves a hundredth of its processor to a model: both fit on a machine with one
# processor, and Ray starts no more of either than there are processors.
_DECODING_CPUS, _MODEL_CPUS = 0.99, 0.01

_INFO_TIMEOUT_S = 60.0


def main(address: str) -> None:
    """Connect, and answer requests until there are no more."""
    source, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # Ray and its nodes print to standard output, which must carry nothing but answers.
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)

    def send(kind: str, value: object = None) -> None:
        pickle.dump((kind, value), answers, protocol=5)
        answers.flush()

    try:
        ray = connect(address)
    except Exception as error:  # noqa: BLE001 (Ray raises errors of any kind)
        send("refused", " ".join(str(error).split()))
        return
    resources = ray.cluster_resources()
    send("ready", (ray.get_runtime_context().gcs_address, int(resources.get("GPU", 0))))
    requests: SimpleQueue[tuple[str, Any] | None] = SimpleQueue()
    busy = threading.Event()
    threading.Thread(target=_read, args=(source, requests, busy), daemon=True).start()
    while (request := requests.get()) is not None:
        try:
            kind, value = request
            if kind == "check":
                check_machines(ray, value)
            else:
                for table in stream(ray, *value):
                    send("table", table)
        except RecsysError as error:
            send("error", error)
        else:
            send("done")
        busy.clear()
    ray.shutdown()


def _read(source: Any, requests: SimpleQueue[Any], busy: threading.Event) -> None:  # noqa: ANN401
    """Take requests in; when there are no more, end the one that goes on as well."""
    try:
        while True:
            request = pickle.load(source)
            busy.set()
            requests.put(request)
    except EOFError:
        requests.put(None)
        if busy.is_set():
            os.kill(os.getpid(), signal.SIGTERM)  # on which Ray shuts down and exits


def connect(address: str) -> Any:  # noqa: ANN401 (a module)
    """Join a cluster or start one; return Ray."""
    # Without this, Ray sends usage statistics to its makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    ray = require("ray", "ray")
    require("ray.data", "ray")
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(QUIET)
    settings: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {}
    ray.init(address=address, log_to_driver=False, logging_level=QUIET, **settings)
    return ray


def check_machines(ray: Any, folders: tuple[str, ...]) -> None:  # noqa: ANN401 (a module)
    """Raise ClusterError where a machine has another version of recsys, or lacks a folder."""
    from importlib.metadata import version

    strategies = require("ray.util.scheduling_strategies", "ray")
    nodes = [node for node in ray.nodes() if node["Alive"]]
    ask = ray.remote(num_cpus=0, max_retries=2)(machine_info)
    asked = []
    for node in nodes:
        there = strategies.NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
        asked.append(ask.options(scheduling_strategy=there).remote(folders))
    for node, reference in zip(nodes, asked, strict=True):
        name = node["NodeManagerAddress"]
        try:
            found = ray.get(reference, timeout=_INFO_TIMEOUT_S)
        except Exception as error:
            raise ClusterError(
                f"{name} cannot run recsys ({_line(error, -1)})",
                f"Install recsys[ray] {version('recsys')} on every machine of the cluster, for the "
                "same Python.",
            ) from error
        if found["recsys"] != version("recsys"):
            raise ClusterError(
                f"{name} has recsys {found['recsys']}, this machine {version('recsys')}",
                "Install the same version on every machine of the cluster.",
            )
        if found["missing"]:
            raise ClusterError(
                f"{name} does not see {', '.join(found['missing'])}",
                "Mount it at the same path on every machine, or give a URL that all can reach.",
            )


def stream(
    ray: Any,  # noqa: ANN401 (a module)
    pipeline: Pipeline,
    files: Sequence[SourceFile],
    alone: bool,
) -> Iterator[Any]:
    """Yield tables of results, see :meth:`recsys.cluster.ray_cluster.Cluster.tables`."""
    data = require("ray.data", "ray")
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # A block that is given up must not end the run: its files are missed and tried alone.
    context.max_errored_blocks = -1
    size = 1 if alone else BLOCK_FILES
    blocks = [_block(files[i : i + size]) for i in range(0, len(files), size)]
    processors = ray.cluster_resources().get("CPU", 1)
    models = pipeline.gpus or max(1, round(MODEL_SHARE * processors))
    dataset = _analysed(data, data.from_arrow(blocks), pipeline, models)
    try:
        for table in dataset.iter_batches(
            batch_size=None, batch_format="pyarrow", prefetch_batches=0
        ):
            if table.num_rows:
                yield _without_fault(table)
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise ClusterError(
            f"the Ray cluster was lost: {_line(error, 0)}",
            "What was written is kept; run the command again to go on from there.",
        ) from error


def _analysed(data: Any, files: Any, pipeline: Pipeline, models: int) -> Any:  # noqa: ANN401
    """Return the stages as a dataset that is computed as it is read."""
    tasks = {
        "compute": data.TaskPoolStrategy(),
        "batch_size": None,  # a block as it is
        "batch_format": "pyarrow",
    }
    arguments: dict[str, Any] = {"examine": pipeline.examine}
    if pipeline.together:
        arguments["model"] = pipeline.model
        return files.map_batches(analyse_files, fn_kwargs=arguments, num_cpus=1, **tasks)
    decoded = files.map_batches(
        examine_files, fn_kwargs=arguments, num_cpus=_DECODING_CPUS, **tasks
    )
    # Actors that die with their machine start again on another; that is Ray Data's default.
    return decoded.map_batches(
        Analyser,
        fn_constructor_args=(pipeline.model, None if pipeline.gpus else 1),
        compute=data.ActorPoolStrategy(min_size=1, max_size=models),
        num_cpus=_MODEL_CPUS,
        num_gpus=1 if pipeline.gpus else None,
        batch_size=GPU_TRACKS if pipeline.gpus else None,
        batch_format="pyarrow",
    )


def _block(files: Sequence[SourceFile]) -> Any:  # noqa: ANN401 (a pyarrow.Table)
    pa = require("pyarrow", "ray")
    return pa.table({"file": pa.array([pickle.dumps(file) for file in files], pa.binary())})


def _without_fault(table: Any) -> Any:  # noqa: ANN401 (a pyarrow.Table)
    """Return the columns of a shard; raise the error where a machine cannot run the model."""
    fault = table.column(FAULT)
    if fault.null_count < table.num_rows:
        message, _, hint = next(item.as_py() for item in fault if item.is_valid).partition("\n")
        raise RecsysError(message, hint)
    return table.drop_columns([FAULT])


def _line(error: Exception, number: int) -> str:
    lines = str(error).strip().splitlines()
    return lines[number].strip() if lines else type(error).__name__


if __name__ == "__main__":
    main(sys.argv[1])
