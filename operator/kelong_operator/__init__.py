"""The Kubernetes operator: it watches VoiceModels and SynthesisJobs and makes the cluster agree with them."""
