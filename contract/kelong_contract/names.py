"""The API group, kinds, labels, annotations, environment names and ports: each spelled once, here."""

GROUP = "kelong.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
VOICE_MODEL = "VoiceModel"
VOICE_MODELS = "voicemodels"
SYNTHESIS_JOB = "SynthesisJob"
SYNTHESIS_JOBS = "synthesisjobs"

# Where a VoiceModel names the one it begins with: a selectable field of its CustomResourceDefinition.
FIELD_INIT_VOICE = "spec.training.init.voiceModel.name"

# Labels on everything the operator creates.
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "kelong"
LABEL_JOB_NAME = "batch.kubernetes.io/job-name"  # set by the Job controller
LABEL_WORKER_INDEX = "batch.kubernetes.io/job-completion-index"  # set by the Job controller on pods of Indexed Jobs
LABEL_COMPONENT = "app.kubernetes.io/component"
LABEL_KIND = f"{GROUP}/kind"
LABEL_OWNER = f"{GROUP}/owner"
LABEL_ATTEMPT = f"{GROUP}/attempt"
COMPONENT_TRAINER = "trainer"
COMPONENT_SERVER = "server"
COMPONENT_BATCH = "batch"

# Annotations on children.
ANNOTATION_ORDER_DIGEST = f"{GROUP}/order-digest"
ANNOTATION_APPLIED_HASH = f"{GROUP}/applied-hash"
ANNOTATION_WISH = f"{GROUP}/wish"
ANNOTATION_PREPARING = f"{GROUP}/preparing"
ANNOTATION_STEP = f"{GROUP}/step"
ANNOTATION_MANIFEST = f"{GROUP}/manifest-sha256"
ANNOTATION_VOICE_UID = f"{GROUP}/voice-uid"
ANNOTATION_GENERATION = f"{GROUP}/generation"
ANNOTATION_LISTING_DIGEST = f"{GROUP}/listing-digest"

# A GPU node's product label, as NVIDIA's device plugin and feature discovery write it.
NODE_LABEL_GPU_PRODUCT = "nvidia.com/gpu.product"

# Environment of the trainer, the server and the batch door (see `environment`).
ENV_STORE_URL = "KELONG_STORE_URL"
ENV_STORE_ENDPOINT = "KELONG_STORE_ENDPOINT"
ENV_STORE_ACCESS_KEY = "KELONG_STORE_ACCESS_KEY"
ENV_STORE_SECRET_KEY = "KELONG_STORE_SECRET_KEY"
ENV_STORE_REGION = "KELONG_STORE_REGION"
ENV_SOURCE_ACCESS_KEY = "KELONG_SOURCE_ACCESS_KEY"
ENV_SOURCE_SECRET_KEY = "KELONG_SOURCE_SECRET_KEY"
ENV_WORK_DIR = "KELONG_WORK_DIR"
ENV_THREADS = "KELONG_THREADS"
ENV_METRICS_PORT = "KELONG_METRICS_PORT"
ENV_POD_NAME = "KELONG_POD_NAME"
ENV_POD_NAMESPACE = "KELONG_POD_NAMESPACE"  # the operator's own namespace, where its Lease is
ENV_OPERATOR_CONFIG = "KELONG_OPERATOR_CONFIG"
ENV_SERVING_ORDER = "KELONG_SERVING_ORDER"  # the ServingOrder itself, as JSON
ENV_SERVER_PORT = "KELONG_SERVER_PORT"
# Where the ranks of several training pods meet: `host:port` of the pod with index 0. Set only where the order's
# training.workers is more than one; how many pods and ranks there are is in the order, which pod this is says
# ENV_WORKER_INDEX (0 where it is missing), which Kubernetes sets in every pod of an Indexed Job.
ENV_RENDEZVOUS = "KELONG_RENDEZVOUS"
ENV_WORKER_INDEX = "JOB_COMPLETION_INDEX"
ENV_RANK = "KELONG_RANK"  # set by the trainer's first process for the ranks that it starts

# Keys inside the store's Secret (chart value store.secretName).
SECRET_ACCESS_KEY = "accessKey"
SECRET_SECRET_KEY = "secretKey"

PORT_SERVER = 8080
PORT_METRICS = 9090
PORT_HEALTH = 8081
PORT_RENDEZVOUS = 29400

# Where an order lies in the pod that carries it out.
ORDER_MOUNT = "/etc/kelong/order"
ORDER_FILE = "order.json"
INPUT_MOUNT = "/etc/kelong/input"
DATASET_MOUNT = "/recordings"
WORK_MOUNT = "/work"

# What a container writes here becomes the termination message in its pod's status.
TERMINATION_LOG = "/dev/termination-log"

# Exit codes of the trainer and the batch door; the Job's podFailurePolicy is built from them.
EXIT_DONE = 0
EXIT_BAD_ORDER = 64
EXIT_BAD_DATA = 65
EXIT_SAVED = 75

FIELD_MANAGER = "kelong-operator"
