"""Metric names, labels, help texts and buckets, so that programs, dashboards and tests agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import prometheus_client


@dataclass(frozen=True)
class Metric:
    """One metric family. `buckets` only for histograms."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


# Trainer. All carry the voice's namespace and name.
_VOICE = ("namespace", "voice")
TRAINING_STEP = Metric("kelong_training_step", "gauge", "The last finished training step.", _VOICE)
TRAINING_MAX_STEPS = Metric("kelong_training_max_steps", "gauge", "The step at which training ends.", _VOICE)
TRAINING_LOSS = Metric("kelong_training_loss", "gauge", "A loss at the last step.", (*_VOICE, "loss"))
TRAINING_LEARNING_RATE = Metric("kelong_training_learning_rate", "gauge", "The generator's learning rate.", _VOICE)
TRAINING_GRADIENT_NORM = Metric(
    "kelong_training_gradient_norm", "gauge", "Gradient norm before clipping.", (*_VOICE, "network")
)
TRAINING_STEPS_PER_SECOND = Metric(
    "kelong_training_steps_per_second", "gauge", "Training speed over the last steps.", _VOICE
)
TRAINING_FRAMES_AT_ONCE = Metric(
    "kelong_training_frames_at_once",
    "gauge",
    "Padded frames that a step computes at once, since a batch did not fit into memory; absent as long as all do.",
    _VOICE,
)
DATASET_SECONDS = Metric("kelong_dataset_seconds", "gauge", "Seconds of audio in the recordings.", _VOICE)
DATASET_KEPT_SECONDS = Metric("kelong_dataset_kept_seconds", "gauge", "Seconds of audio in clips.", _VOICE)
DATASET_DROPPED_SECONDS = Metric(
    "kelong_dataset_dropped_seconds", "gauge", "Seconds of audio not trained on, by reason.", (*_VOICE, "reason")
)
DATASET_GRADE_SECONDS = Metric(
    "kelong_dataset_grade_seconds", "gauge", "Seconds of audio in clips, by grade.", (*_VOICE, "grade")
)
DATASET_CLIPS = Metric("kelong_dataset_clips", "gauge", "Clips to train on.", _VOICE)
CHECKPOINT_SAVES = Metric("kelong_checkpoint_saves_total", "counter", "Checkpoints committed to the store.", _VOICE)
CHECKPOINT_SECONDS = Metric(
    "kelong_checkpoint_save_seconds",
    "histogram",
    "Time to write one checkpoint.",
    _VOICE,
    (0.1, 0.3, 1, 3, 10, 30, 100, 300),
)
STAGE_SECONDS = Metric(
    "kelong_stage_seconds", "gauge", "How long a stage took; 0 when its result was cached.", (*_VOICE, "stage")
)
AUDITION_STEP = Metric("kelong_audition_step", "gauge", "The last step that was heard and judged.", _VOICE)
AUDITION_FIGURE = Metric(
    "kelong_audition_figure", "gauge", "What the judges say of the last step that was heard.", (*_VOICE, "figure")
)

# Server.
REQUESTS = Metric("kelong_speech_requests_total", "counter", "Speech requests by HTTP status.", ("model", "status"))
REQUEST_SECONDS = Metric(
    "kelong_speech_request_seconds",
    "histogram",
    "Time from request to the last byte.",
    ("model",),
    (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
AUDIO_SECONDS = Metric("kelong_speech_audio_seconds_total", "counter", "Seconds of audio spoken.", ("model",))
CHARACTERS = Metric("kelong_speech_characters_total", "counter", "Characters of text spoken.", ("model",))
QUEUE = Metric("kelong_speech_queue", "gauge", "Requests that wait or are spoken now.", ("model",))
SERVING_STEP = Metric("kelong_serving_step", "gauge", "The training step whose weights speak.", ("model",))
SERVING_PRECISION = Metric(
    "kelong_serving_precision", "gauge", "1 for what the sound is computed in, FP32 or BF16.", ("model", "precision")
)
WARM_UP_RTF = Metric(
    "kelong_serving_warm_up_real_time_factor",
    "gauge",
    "Seconds of work per second of audio in the warm-up.",
    ("model",),
)

# Operator.
RECONCILES = Metric("kelong_reconciles_total", "counter", "Reconciles by kind and result.", ("kind", "result"))
RECONCILE_SECONDS = Metric(
    "kelong_reconcile_seconds", "histogram", "Time of one reconcile.", ("kind",), (0.01, 0.03, 0.1, 0.3, 1, 3, 10)
)
QUEUE_DEPTH = Metric("kelong_reconcile_queue", "gauge", "Keys that wait to be reconciled.")
RESOURCES = Metric("kelong_resources", "gauge", "Resources by kind and Ready reason.", ("kind", "reason"))
API_WRITES = Metric("kelong_api_writes_total", "counter", "Writes to the API server.", ("kind", "verb"))
HEARTBEAT_AGE = Metric("kelong_heartbeat_age_seconds", "gauge", "Age of the last event the watcher delivered.")


def counter(metric: Metric, registry: prometheus_client.CollectorRegistry) -> prometheus_client.Counter:
    """The metric as a counter in a registry."""
    return prometheus_client.Counter(metric.name, metric.help, metric.labels, registry=registry)


def gauge(metric: Metric, registry: prometheus_client.CollectorRegistry) -> prometheus_client.Gauge:
    """The metric as a gauge in a registry."""
    return prometheus_client.Gauge(metric.name, metric.help, metric.labels, registry=registry)


def histogram(metric: Metric, registry: prometheus_client.CollectorRegistry) -> prometheus_client.Histogram:
    """The metric as a histogram in a registry."""
    return prometheus_client.Histogram(
        metric.name, metric.help, metric.labels, buckets=metric.buckets, registry=registry
    )
