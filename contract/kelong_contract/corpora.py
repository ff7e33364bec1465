"""What the stages of preprocessing leave behind: recordings, what was heard, clips, and what became of the rest.

Every second of every recording is in exactly one clip or one rejection; `accounts` checks it. Times are seconds in the
recording as it was decoded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Grade = Literal["A", "B", "C"]
MarkKind = Literal["sp1", "sp2", "sp3", "sp4", "br1", "br2"]

# Why a stretch of a recording is not trained on. The first group is told of whole files, the second of stretches, the
# third of clips that were judged, the last of what a person decided or what is nobody's loss.
Reason = Literal[
    "Missing",
    "Undecodable",
    "UnknownSpeaker",
    "Duplicate",
    "Silent",
    "NoSpeech",
    "OtherLanguage",
    "TooShort",
    "TooLong",
    "NoText",
    "Music",
    "ImplausibleText",
    "Unspeakable",
    "UncertainText",
    "OtherSpeaker",
    "Hum",
    "Noisy",
    "Clipped",
    "LowQuality",
    "Dropped",
    "Silence",
    "NotListed",
]


@dataclass(frozen=True, kw_only=True)
class Sound:
    """What a file's sound is, before anything was done to it.

    `codec` as FFmpeg names it; `channel` is what was taken of several: `mix` of all, a channel's number from 0 as text,
    or two such as `0+1`. `gain_db` is what the sound was turned down by so that it does not exceed full scale.
    Loudness is BS.1770's integrated (None below its gate), `true_peak_dbfs` that of the sound four times oversampled,
    `clipped_share` the part of the samples in flat tops, `damaged_packets` those that could not be decoded.
    """

    codec: str
    rate_hz: int
    channels: int
    channel: str
    loudness_lufs: float | None
    true_peak_dbfs: float
    clipped_share: float
    damaged_packets: int = 0
    gain_db: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ClippedStretch:
    """A second of a recording, or what is left of one, in which samples are clipped; `share` is the part of them."""

    start_s: float
    end_s: float
    share: float


@dataclass(frozen=True, kw_only=True)
class Part:
    """Where in a file of the dataset source a recording lies, if a list names only a stretch of that file."""

    key: str
    sha256: str
    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One file of the dataset source. `duration_s` is 0 and `sound` None where it could not be decoded.

    `text` is the transcript that came with it, empty where there was none. `clipped` are the seconds with clipping, as
    the file holds them. A stretch of a file that a list names is a recording of its own: `part` says where it lies,
    `key` ends with `#t=start,end`, `sha256` stands for the file and the stretch, and `sound` is the whole file's. What
    no line names of that file is one more, rejected, with `#rest`.
    """

    key: str
    speaker: str
    size_bytes: int
    sha256: str
    duration_s: float
    sound: Sound | None = None
    text: str = ""
    part: Part | None = None
    clipped: tuple[ClippedStretch, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Word:
    """A stretch of recognised text with its times in the recording. The times say which words, not where to cut."""

    text: str
    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A stretch of a recording."""

    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class ForeignStretch:
    """A stretch of a recording in which another language is spoken; `language` is its code, such as `en`."""

    start_s: float
    end_s: float
    language: str


@dataclass(frozen=True, kw_only=True)
class Breath:
    """An inhale between words, and how sure the detector is of it (0 to 1). `level_db` is above the noise floor."""

    start_s: float
    end_s: float
    level_db: float
    confidence: float


@dataclass(frozen=True, kw_only=True)
class VoiceStretch:
    """Speech of about one and a half seconds, and the cosine of its embedding with the speaker's own."""

    start_s: float
    end_s: float
    similarity: float


@dataclass(frozen=True, kw_only=True)
class Hum:
    """A stretch of a recording in which the mains hum, at 50 or 60 Hz, and the level of all its lines together."""

    start_s: float
    end_s: float
    hz: float
    level_dbfs: float


@dataclass(frozen=True, kw_only=True)
class Listening:
    """What was heard in one recording before anybody asked for words.

    `speech` are the voice activity detector's stretches, `music` those where music plays, `hum` where the mains hum.
    `voices` is empty where no embedding model is configured. `noise_floor_dbfs` is the level of the quiet between
    words.
    """

    key: str
    noise_floor_dbfs: float
    speech: tuple[Stretch, ...]
    breaths: tuple[Breath, ...] = ()
    music: tuple[Stretch, ...] = ()
    hum: tuple[Hum, ...] = ()
    voices: tuple[VoiceStretch, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """What is said in one recording.

    `words` are what clips are labelled with: the recogniser's, or those of a transcript that came with the recording,
    laid onto the recogniser's times. `heard` are then the recogniser's own, and `second` those of a second recogniser
    where one is configured: how well they agree says how far a label can be trusted.
    No word lies in a stretch of `foreign`. `invented` counts the words that the recogniser wrote where nobody speaks,
    or over and over: they are in none of the others.
    """

    key: str
    language: str
    words: tuple[Word, ...]
    speech: tuple[Stretch, ...] = ()
    heard: tuple[Word, ...] = ()
    second: tuple[Word, ...] = ()
    foreign: tuple[ForeignStretch, ...] = ()
    invented: int = 0


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A pause or a breath inside a clip, after the first `after` characters of its text.

    `sp1` to `sp4` are pauses of 60, 180, 400 and 900 ms and more, `br1` a quiet and `br2` a deep breath. Times are in
    the recording.
    """

    kind: MarkKind
    after: int
    start_s: float
    end_s: float
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is not perfect about a clip, as one word and as a sentence."""

    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What was measured of a clip; None where nothing measures it, never 0.

    `agreement` is 1 - the error rate, in syllables of which a wrong tone, initial or final is half wrong, of the label
    against what a second look heard (the second recogniser's words, or the recogniser's own for a supplied transcript),
    `least_agreement` the same in the four syllables in a row where it is least, `similarity` the cosine with the
    speaker's own embedding (over two stretches, where it is least), `dnsmos` the overall quality (1 to 5), `snr_db`
    speech over the noise floor, `hum_share` the part of that noise that is the mains' hum, `reading_tone` 0 (talk) to 1
    (read aloud): a note, never a gate.
    """

    confidence: float | None = None
    agreement: float | None = None
    least_agreement: float | None = None
    similarity: float | None = None
    dnsmos: float | None = None
    snr_db: float | None = None
    hum_share: float | None = None
    clipped_share: float | None = None
    music_share: float | None = None
    syllables_per_s: float | None = None
    reading_tone: float | None = None


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One training example: mono FLAC in the store under its content's digest, and what is said in it.

    `grade` is None until the clip was judged, `findings` are why it is not better. `corrected` names what a person
    overruled. `marks` lie between the characters of `text`.
    `phones`, `tones`, `word2ph`, `language_ids` are the front end's (before blanks); empty until the phoneme stage has
    run.
    `features` maps a kind (text, style) to the key of its file; empty where the preset uses none.
    """

    sha256: str
    recording: str
    speaker: str
    start_s: float
    end_s: float
    samples: int
    text: str
    confidence: float
    grade: Grade | None = None
    findings: tuple[Finding, ...] = ()
    measures: Measures = field(default_factory=Measures)
    marks: tuple[Mark, ...] = ()
    corrected: tuple[Literal["text", "keep", "speaker"], ...] = ()
    spoken: str = ""
    phones: tuple[str, ...] = ()
    tones: tuple[int, ...] = ()
    word2ph: tuple[int, ...] = ()
    language_ids: tuple[int, ...] = ()
    features: dict[str, str] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        """Its length in the recording."""
        return self.end_s - self.start_s


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """A stretch of a recording that is not trained on, and why. `reason` is one word, counted in status and metrics.

    A clip that was cut and then rejected keeps the digest of its sound and its text, so that a person can hear it and
    overrule; both are empty for anything else.
    """

    recording: str
    start_s: float
    end_s: float
    reason: Reason
    message: str
    sha256: str = ""
    text: str = ""
    measures: Measures = field(default_factory=Measures)

    @property
    def duration_s(self) -> float:
        """The seconds it takes from the recording."""
        return self.end_s - self.start_s


@dataclass(frozen=True, kw_only=True)
class Correction:
    """What a person says about a clip, by the digest of its sound; None where they say nothing.

    `keep` true trains on it whatever its grade, false drops it. One line of the corrections file.
    """

    sha256: str
    text: str | None = None
    keep: bool | None = None
    speaker: str | None = None


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """The dataset after a stage. Every second of a recording is in exactly one clip or one rejection.

    `held_out` are the digests of clips that training never sees, chosen once the clips are final. `notes` are sentences
    about what belongs to no recording and wants mending: lines of a list that cannot be used, files that no list names.
    `beside` are those about files that are plainly no recordings, which do no harm.
    """

    stage: str
    speakers: dict[str, int]
    recordings: tuple[Recording, ...]
    listenings: tuple[Listening, ...] = ()
    transcripts: tuple[Transcript, ...] = ()
    clips: tuple[Clip, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    held_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    format: int = 2


@dataclass(frozen=True, kw_only=True)
class SpeakerTotals:
    """What one speaker brings to the corpus."""

    name: str
    id: int
    clips: int
    duration_s: float


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """Seconds not used, by reason."""

    reason: str
    count: int
    duration_s: float


@dataclass(frozen=True, kw_only=True)
class GradeTotals:
    """Clips that are trained on, by grade."""

    grade: Grade
    clips: int
    duration_s: float


@dataclass(frozen=True, kw_only=True)
class CorpusReport:
    """The totals of a corpus, for status and metrics; the rejected recordings by name, at most 20 of them.

    `kept_s` and the seconds of `dropped` add up to `duration_s`. `page` is the key of the report that people look at,
    made by the trainer's `page_version`, `advice` what it tells them to do, `corrections` how many lines of corrections
    were applied, `corrections_digest` that of all lines that were given, empty where none were.
    """

    digest: str
    clips: int
    recordings: int
    duration_s: float
    kept_s: float
    speakers: tuple[SpeakerTotals, ...]
    dropped: tuple[Dropped, ...]
    grades: tuple[GradeTotals, ...] = ()
    rejected_recordings: tuple[Rejection, ...] = ()
    page: str = ""
    page_version: int = 0
    advice: tuple[str, ...] = ()
    corrections: int = 0
    corrections_digest: str = ""
    format: int = 2
