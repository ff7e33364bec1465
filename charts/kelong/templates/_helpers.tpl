{{- define "kelong.labels" -}}
app.kubernetes.io/name: kelong
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "kelong.operatorSelector" -}}
app.kubernetes.io/name: kelong
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "kelong.minioSelector" -}}
app.kubernetes.io/name: kelong
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: minio
{{- end }}

{{- define "kelong.storeEndpoint" -}}
{{- if .Values.store.endpoint -}}
{{ .Values.store.endpoint }}
{{- else if .Values.minio.enabled -}}
http://{{ .Release.Name }}-minio.{{ .Release.Namespace }}.svc:9000
{{- else -}}
{{ fail "store.endpoint is empty: give the URL of your S3 endpoint, or set minio.enabled=true to try Kelong out" }}
{{- end -}}
{{- end }}

{{/* What every container of ours runs under: Pod Security "restricted", and a read-only root. */}}
{{- define "kelong.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "kelong.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* What the operator may do where VoiceModels live. It reads no Secret, runs nothing in a pod and deletes no data. */}}
{{- define "kelong.rules" -}}
- {apiGroups: [kelong.dev], resources: [voicemodels, synthesisjobs], verbs: [get, list, watch]}
- {apiGroups: [kelong.dev], resources: [voicemodels/status, synthesisjobs/status], verbs: [patch]}
- {apiGroups: [batch], resources: [jobs], verbs: [get, list, watch, create, patch, delete]}
- {apiGroups: [apps], resources: [deployments], verbs: [get, list, watch, create, patch]}
- {apiGroups: [""], resources: [services], verbs: [get, create, patch]}
- {apiGroups: [""], resources: [configmaps], verbs: [get, create, delete]}
- {apiGroups: [""], resources: [pods], verbs: [get, list, watch]}
- {apiGroups: [""], resources: [events], verbs: [create]}
{{- end }}
