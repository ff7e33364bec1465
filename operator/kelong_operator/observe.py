"""Looking: the cluster and the store in, one frozen value out. The only reader; it writes nothing."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal, TypeVar

from kelong_contract import codec, layout, names, resources, store, synthesis_jobs
from kelong_contract.corpora import CorpusReport
from kelong_contract.manifests import AuditionReport, CheckpointManifest, Figures, Pins, Progress, SynthesisManifest
from kelong_contract.resources import CheckpointStatus, VoiceModelSpec, VoiceModelStatus
from kelong_contract.synthesis_jobs import ConfigMapInput, SynthesisJobSpec

from kelong_operator import children, order_book, training, views
from kelong_operator.cluster import Cluster, Document
from kelong_operator.settings import Settings
from kelong_operator.views import (
    Checkpoint,
    ObservedSynthesis,
    ObservedVoice,
    Owner,
    ReferredVoice,
    StoreAway,
    SynthesisInStore,
    VoiceInStore,
)

T = TypeVar("T")
log = logging.getLogger(__name__)
_MOST_KEPT = 4096


class Observer:
    """Reads the cluster and the store. A document never changes under its etag, so each is fetched once and kept."""

    def __init__(self, cluster: Cluster, kept: store.Store, settings: Settings) -> None:
        self._cluster = cluster
        self._store = kept
        self._settings = settings
        self._documents: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def voice(self, document: Document) -> ObservedVoice:
        """All that is known about a VoiceModel; raises codec.Malformed for one that cannot be read."""
        owner = owner_of(names.VOICE_MODEL, document)
        spec = resources.voice_model_spec(document["spec"])
        status = resources.voice_model_status(document.get("status"))
        selector = f"{names.LABEL_KIND}={owner.kind},{names.LABEL_OWNER}={owner.name}"
        jobs = self._cluster.list("Job", owner.namespace, selector)
        pods = self._cluster.list("Pod", owner.namespace, selector)
        deployment = self._cluster.find("Deployment", owner.namespace, owner.name)
        service = self._cluster.find("Service", owner.namespace, owner.name)
        seen = ObservedVoice(
            owner=owner,
            spec=spec,
            status=status,
            store=self._reading(lambda: self._voice_in_store(owner, status.checkpoints)),
            jobs=tuple(views.job_of(item, owner.uid) for item in jobs),
            pods=tuple(views.pod_of(item) for item in pods),
            deployment=views.deployment_of(deployment, owner.uid) if deployment is not None else None,
            needed_steps=self._needed_steps(owner, spec),
            service_is_anothers=service is not None and not views.is_owned(service, owner.uid),
            init_voice=self._init_voice(owner, spec, status),
            meeting=self._meeting(owner, spec),
        )
        if isinstance(seen.store, StoreAway) or not training.wants_listing(seen):
            return seen
        found, prefixes = seen.store, order_book.watched_prefixes(owner, spec, self._settings)
        listed = self._reading(lambda: dataclasses.replace(found, listing_digest=self._listing_digest(prefixes)))
        return dataclasses.replace(seen, store=listed)

    def synthesis(self, document: Document) -> ObservedSynthesis:
        """All that is known about a SynthesisJob; raises codec.Malformed for one that cannot be read."""
        owner = owner_of(names.SYNTHESIS_JOB, document)
        spec = synthesis_jobs.synthesis_job_spec(document["spec"])
        status = synthesis_jobs.synthesis_job_status(document.get("status"))
        selector = f"{names.LABEL_KIND}={owner.kind},{names.LABEL_OWNER}={owner.name}"
        voice = self._cluster.find(names.VOICE_MODEL, owner.namespace, spec.voice_model_ref.name)
        jobs = self._cluster.list("Job", owner.namespace, selector)
        pods = self._cluster.list("Pod", owner.namespace, selector)
        config_map = spec.input.config_map
        return ObservedSynthesis(
            owner=owner,
            spec=spec,
            status=status,
            store=self._reading(lambda: self._synthesis_in_store(owner, spec)),
            voice=_referred(voice) if voice is not None else None,
            input_fault=self._input_fault(owner, config_map) if config_map is not None else None,
            jobs=tuple(views.job_of(item, owner.uid) for item in jobs),
            pods=tuple(views.pod_of(item) for item in pods),
        )

    def _reading(self, read: Callable[[], T]) -> T | StoreAway:
        try:
            return read()
        except store.StoreError as error:
            return StoreAway(message=str(error))

    def _voice_in_store(self, owner: Owner, known: tuple[CheckpointStatus, ...]) -> VoiceInStore:
        place = order_book.voice_name(owner).place()
        pins = self._pins(layout.pins(place))  # before the manifests: a pinned step that is found then will stay
        objects = {item.key: item for item in self._store.list(layout.checkpoints(place))}
        reports = self._store.list(layout.all_auditions(place))
        heard = {step: item for item in reports if (step := layout.audition_step(place, item.key)) is not None}
        seen_before = {item.step: item for item in known}
        checkpoints, broken, saved_step = [], {}, 0
        for key, item in objects.items():
            step = layout.checkpoint_step(place, key)
            if step is None:
                continue
            data = self._document(key, item.etag)
            try:
                manifest = codec.loads(CheckpointManifest, data, key)
            except codec.Malformed as error:
                broken[step] = str(error)
                continue
            digest = store.digest_bytes(data)
            fault = _fault(manifest, digest, {name: found.size_bytes for name, found in objects.items()}, seen_before)
            if fault is not None:
                broken[step] = fault
                continue
            saved_step = max(saved_step, step)
            if manifest.listed:
                checkpoints.append(_checkpoint(manifest, digest, self._report(heard.get(step))))
        return VoiceInStore(
            progress=self._rewritten(Progress, layout.progress(place)),
            report=self._rewritten(CorpusReport, layout.corpus_report(place)),
            checkpoints=tuple(checkpoints),
            broken=broken,
            saved_step=saved_step,
            pins=pins,
        )

    def _synthesis_in_store(self, owner: Owner, spec: SynthesisJobSpec) -> SynthesisInStore:
        prefix = layout.synthesis(owner.namespace, spec.output.prefix)
        record = self._optional(SynthesisManifest, layout.synthesis_manifest(prefix, owner.uid))
        if record is None:
            record = self._rewritten(SynthesisManifest, layout.synthesis_progress(prefix, owner.uid))
        return SynthesisInStore(record=record)

    def _document(self, key: str, etag: str) -> bytes:
        with self._lock:
            if (key, etag) in self._documents:
                self._documents.move_to_end((key, etag))
                return self._documents[key, etag]
        data = self._store.get(key)
        with self._lock:
            self._documents[key, etag] = data
            while len(self._documents) > _MOST_KEPT:
                self._documents.popitem(last=False)
        return data

    def _report(self, found: store.StoredObject | None) -> AuditionReport | None:
        """What a step sounds like. It is an account, not a state: one that cannot be read stops nothing."""
        if found is None:
            return None
        try:
            return codec.loads(AuditionReport, self._document(found.key, found.etag), found.key)
        except (store.NoSuchObject, codec.Malformed) as error:
            log.warning("a step's figures are not told: %s", error)
            return None

    def _needed_steps(self, owner: Owner, spec: VoiceModelSpec) -> tuple[int, ...]:
        """The steps that other resources need.

        Where every generator stays, SynthesisJobs need not be asked; a voice that begins with a step wants its
        discriminators too, which no step keeps unless it is pinned.
        """
        fields = f"{names.FIELD_INIT_VOICE}={owner.name}"
        voices = self._cluster.list(names.VOICE_MODEL, owner.namespace, fields=fields)
        found = [views.init_step_of(item, owner.name, owner.uid) for item in voices]
        if spec.training.checkpoint.retention.keep_last is not None:
            jobs = self._cluster.list(names.SYNTHESIS_JOB, owner.namespace)
            found += [views.batch_step_of(item, owner.name) for item in jobs]
        return tuple(step for step in found if step is not None)

    def _init_voice(self, owner: Owner, spec: VoiceModelSpec, status: VoiceModelStatus) -> ReferredVoice | None:
        wished = spec.training.init.voice_model
        if wished is None or status.training.init is not None:
            return None
        document = self._cluster.find(names.VOICE_MODEL, owner.namespace, wished.name)
        return _referred(document) if document is not None else None

    def _meeting(self, owner: Owner, spec: VoiceModelSpec) -> Literal["missing", "ours", "another's"]:
        if spec.training.workers == 1:
            return "missing"
        service = self._cluster.find("Service", owner.namespace, children.meeting_name(owner))
        if service is None:
            return "missing"
        return "ours" if views.is_owned(service, owner.uid) else "another's"

    def _pins(self, key: str) -> tuple[int, ...] | None:
        try:
            return codec.loads(Pins, self._store.get(key), key).steps
        except store.NoSuchObject:
            return ()
        except codec.Malformed as error:
            log.warning("the pinned steps are written anew: %s", error)
            return None

    def _listing_digest(self, prefixes: tuple[str, ...]) -> str | None:
        if not prefixes:
            return None
        return store.digest_listing(item for prefix in prefixes for item in self._store.list(prefix))

    def _optional(self, kind: type[T], key: str) -> T | None:
        """A document of the store, None if it is not there. One that cannot be read counts as a fault of the store."""
        try:
            return codec.loads(kind, self._store.get(key), key)
        except store.NoSuchObject:
            return None
        except codec.Malformed as error:
            raise store.StoreError(str(error)) from error

    def _rewritten(self, kind: type[T], key: str) -> T | None:
        """A document that its program writes again and again. One that cannot be read counts as not there.

        Only the program's next run puts it right, so it must not keep the operator from starting one.
        """
        try:
            return codec.loads(kind, self._store.get(key), key)
        except store.NoSuchObject:
            return None
        except codec.Malformed as error:
            log.warning("counted as not there until it is written anew: %s", error)
            return None

    def _input_fault(self, owner: Owner, config_map: ConfigMapInput) -> str | None:
        found = self._cluster.find("ConfigMap", owner.namespace, config_map.name)
        if found is None:
            return f"there is no ConfigMap {config_map.name} in this namespace"
        if config_map.key not in found.get("data", {}) and config_map.key not in found.get("binaryData", {}):
            return f"the ConfigMap {config_map.name} has no key {config_map.key}"
        return None


def owner_of(kind: str, document: Document) -> Owner:
    """The resource that the document is."""
    metadata = document["metadata"]
    return Owner(
        kind=kind,
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata["generation"],
    )


def _referred(document: Document) -> ReferredVoice:
    return ReferredVoice(
        name=document["metadata"]["name"],
        uid=document["metadata"]["uid"],
        spec=resources.voice_model_spec(document["spec"]),
        status=resources.voice_model_status(document.get("status")),
    )


def _fault(
    manifest: CheckpointManifest, digest: str, sizes: dict[str, int], known: dict[int, CheckpointStatus]
) -> str | None:
    """Why a checkpoint must not be used; the digests of the tensors themselves are checked by who loads them."""
    before = known.get(manifest.step)
    if before is not None and before.attempt == manifest.attempt and before.manifest_sha256 != digest:
        return (
            f"its manifest has changed since it was listed (SHA-256 {digest}, expected {before.manifest_sha256}); "
            "restore it, or promote another step"
        )
    for file in manifest.files:
        if file.name != layout.GENERATOR_FILE:
            continue
        if sizes.get(file.key) != file.size_bytes:
            return f"{file.key} has {sizes.get(file.key, 'no')} bytes in the store, expected {file.size_bytes}"
        return None
    return f"its manifest names no {layout.GENERATOR_FILE}"


def _checkpoint(manifest: CheckpointManifest, digest: str, report: AuditionReport | None) -> Checkpoint:
    return Checkpoint(
        step=manifest.step,
        attempt=manifest.attempt,
        created_at=manifest.created_at,
        manifest_sha256=digest,
        size_bytes=sum(file.size_bytes for file in manifest.files),
        has_auditions=report is not None,
        figures=report.figures if report is not None and report.manifest_sha256 == digest else Figures(),
    )
